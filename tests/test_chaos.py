"""Proxy, server and Postgres are killed at random during random requests, and no record is lost.

A minute of what `python -m tests.bench.chaos` does for as long as one likes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

import openai
import psycopg
import pytest

from tests.support.appliance import Appliance
from tests.support.batches import questions, results_of, submit, wrong_results
from tests.support.chaos import (
    Storm,
    User,
    accounts,
    command_line_leaks,
    database_url_of,
    leaks,
    make_users,
    settled,
)
from tests.support.wait import wait_until

STORM_S = 40.0
LINES = 30
CALM_S = 5.0
KILL_EVERY_S = 4.0
LEAST_KILLS = 4
FURTHER_STORMS = 5
"""On a busy machine it takes longer to kill so many."""
SETTINGS = {
    "LLAMA_SERVER_N_THREADS": "1",
    "LLAMA_PROXY_LOG_LEVEL": "debug",
    "LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE": "0",
    "LLAMA_BATCH_SLOTS": "1",
}


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance with debug logging."""
    with Appliance(model=True, **SETTINGS) as appliance:
        appliance.start()
        yield appliance


@pytest.fixture(scope="module")
def users(appliance: Appliance) -> list[User]:
    return make_users(appliance)


# STORM_S, and on a busy machine minutes to start before it and to settle after it.
@pytest.mark.timeout(480)
async def test_after_the_storm_every_account_adds_up(appliance: Appliance, users: list[User]) -> None:
    """Each answer seen whole has one row with its user, status and bytes; no window was exceeded; and
    with nobody killed, all are served, and memory does not grow from one load to the next.
    """
    seed = time.time_ns()
    print(f"seed {seed}")
    storm = Storm(appliance, users, seed)
    await storm.run(STORM_S, kill_every_s=KILL_EVERY_S)
    for _ in range(FURTHER_STORMS):
        if storm.kills.total() < LEAST_KILLS:
            await storm.run(2 * KILL_EVERY_S, kill_every_s=KILL_EVERY_S)
    assert storm.kills.total() >= LEAST_KILLS, storm.kills
    assert sum(seen.whole and seen.status == 200 for seen in storm.seen) > 20
    rows = await settled(storm, deadline_s=60)
    assert accounts(storm, rows) == []

    memory = []
    for round_ in range(2):
        calm = Storm(appliance, users, seed + round_)
        await calm.run(CALM_S, kill_every_s=0)
        # No turn is still held: users within their limits are served.
        for user in users[:2]:
            assert any(seen.status == 200 for seen in calm.seen if seen.user == user.name)
        assert {seen.status for seen in calm.seen} <= {0, 200, 400, 401, 404, 429}
        memory.append(appliance.status()["processes"]["proxy"]["memory_bytes"])
        storm.seen += calm.seen
    assert memory[1] <= memory[0] + 4 * 2**20
    assert accounts(storm, await settled(storm, deadline_s=60)) == []


def test_each_line_of_a_batch_has_one_result(appliance: Appliance) -> None:
    """Engine, PostgreSQL and proxy are killed while it runs: none is lost, and none has two."""
    key = appliance.cli("create-user", "--username", "bea", "--quiet")
    url = appliance.proxy_url + "/v1"
    with openai.OpenAI(base_url=url, api_key=key, timeout=10, max_retries=0) as client:
        batch = submit(client, questions(LINES, max_tokens=700, min_tokens=700))

        def done() -> int:
            nonlocal batch
            with suppress(openai.APIConnectionError, openai.InternalServerError):
                batch = client.batches.retrieve(batch.id)
            assert batch.request_counts is not None
            return batch.request_counts.completed + batch.request_counts.failed

        for number, victims in enumerate((["server"], ["postgres"], ["proxy", "server"]), start=1):
            wait_until(lambda: done() >= 3 * number, "some lines to be done")  # noqa: B023
            assert batch.status == "in_progress"
            for victim in victims:
                appliance.kill(victim)
        appliance.until_well()
        with psycopg.connect(database_url_of(appliance)) as connection:
            # The killed proxy has it for seconds more; the new one need not wait for that here.
            connection.execute("UPDATE llama_batches SET leased_until = now()")
        wait_until(
            lambda: done() == LINES and batch.status == "completed",
            "the batch to be completed",
            deadline_s=120,
        )
        assert wrong_results(batch, results_of(client, batch), LINES) == []


def test_no_file_and_no_process_shows_a_secret(appliance: Appliance, users: list[User]) -> None:
    """Logs, spool, database and command lines show no secret, with debug logging and after crashes."""
    assert leaks(appliance, users) == []
    assert command_line_leaks(appliance, users) == []


def test_files_with_secrets_are_the_owner_s(appliance: Appliance) -> None:
    """Files with secrets have mode 0600, in directories of mode 0700."""
    for name in ("runtime/config.env", "runtime/data/postgres.url"):
        assert (appliance.root / name).stat().st_mode & 0o777 == 0o600, name
    for name in ("runtime/data/spool", "runtime/logs", "runtime/run"):
        assert (appliance.root / name).stat().st_mode & 0o777 == 0o700, name
    for folder, _, names in os.walk(appliance.root / "runtime/logs"):
        for name in names:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o077 == 0, name
