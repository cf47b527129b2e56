"""The command `usage`, on rows with known numbers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from proxy.database.pool import connect
from tests.bin.conftest import Cli, create, shape


@pytest.fixture
def used(cli: Cli, database_url: str) -> Cli:
    """Two users' requests of yesterday and of ten days ago, one of them by a user since deleted."""
    with connect(database_url, application="tests") as connection:
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
            " count, latency_ms, request_bytes, response_bytes, prompt_tokens, completion_tokens)"
            " SELECT gen_random_uuid(), date_trunc('day', now(), 'UTC') - age, name, 1, 'POST', '/v1/x',"
            "        admitted, count, 1234.5, 10, 2000, 7, 3"
            " FROM (VALUES ('alice', interval '1 hour', true, 1),"
            "              ('alice', interval '1 hour', false, 90),"
            "              ('bob', interval '2 hours', true, 1),"
            "              ('bob', interval '10 days', true, 1)) AS r (name, age, admitted, count)"
        )
    create(cli, "alice")
    return cli


def test_usage_by_user(used: Cli) -> None:
    """Of the last 7 days where nothing else is said."""
    since, blank, *rest = used("usage").splitlines()
    assert (shape(since), blank) == ("Since TIME", "")
    assert (
        "\n".join(rest)
        == """\
USER   REQUESTS  REFUSED  TOKENS IN  TOKENS OUT  BYTES IN  BYTES OUT  MEDIAN MS  P95 MS
alice         1       90         14           6        20       4000       1234    1234
bob           1        0          7           3        10       2000       1234    1234"""
    )


def test_usage_by_day_of_one_user(used: Cli) -> None:
    """`--user` and `--username` are the same; JSON names the day."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%d")
    rows = used.json("usage", "--user", "bob", "--by", "day", "--since", "30d")
    assert rows == used.json("usage", "--username", "bob", "--by", "day", "--since", "2020-01-01")
    assert len(rows) == 2
    assert rows[1] == {
        "day": yesterday, "requests": 1, "refusals": 0, "prompt_tokens": 7, "completion_tokens": 3,
        "request_bytes": 10, "response_bytes": 2000, "median_ms": 1234.5, "p95_ms": 1234.5,
    }  # fmt: skip


def test_usage_of_nothing(used: Cli) -> None:
    """No requests is an answer; a name that never was is an error."""
    assert shape(used("usage", "--user", "alice", "--since", "0")) == "No requests since TIME.\n"
    assert used.json("usage", "--since", "0") == []
    error = "error: there is no user eve: list-users shows who there is\n"
    assert used.error("usage", "--user", "eve") == error
