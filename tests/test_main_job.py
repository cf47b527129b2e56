"""The main job as users do it: a key for each, curl and the openai client, a row for each request.

One real appliance for the module: a copy of the checkout in a directory with a space in its name, the
real llama_cpp.server on a small GGUF, the embedded Postgres, the proxy.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import openai
import psycopg
import pytest
from openai.types.chat import ChatCompletionMessageParam
from psycopg.rows import dict_row

from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.wait import wait_until

ATTEMPTS = 3
"""A busy machine may hold up a request on its way from curl to the proxy, but not each time."""
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello in one sentence."}]


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance, slow enough for answers to overlap."""
    # As many threads as cores make a model this small slower while anything else runs.
    with Appliance(model=False, LLAMA_SERVER_N_THREADS="1") as appliance:
        build_model(appliance.root / "models" / "slow.gguf", shape=SLOW)
        appliance.start()
        yield appliance


@pytest.fixture
def user(appliance: Appliance, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A new user for each test: name and key."""
    name = request.node.name.replace("[", "-").replace("]", "")[:64]
    return name, create_user(appliance, name)


def create_user(appliance: Appliance, name: str, *arguments: str) -> str:
    return appliance.cli("create-user", "--username", name, "--quiet", *arguments)


def client_of(appliance: Appliance, key: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=appliance.proxy_url + "/v1", api_key=key, **options)


def rows_of(appliance: Appliance, username: str, count: int) -> list[dict[str, Any]]:
    """Wait until the user has `count` rows; the rows in order of arrival."""
    url = (appliance.root / "runtime/data/postgres.url").read_text()

    def found() -> list[dict[str, Any]] | None:
        with psycopg.connect(url, row_factory=dict_row) as connection:
            rows = connection.execute(
                "SELECT * FROM llama_requests WHERE username = %s ORDER BY id", [username]
            ).fetchall()
        assert len(rows) <= count
        return rows if len(rows) == count else None

    return wait_until(found, f"{count} rows of {username}")


def curl(url: str, key: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """Run curl; its output and its own figures of the transfer."""
    done = subprocess.run(
        ["curl", "--silent", "--show-error", "--max-time", "60", url]
        + ["--header", f"Authorization: Bearer {key}", "--header", "Content-Type: application/json"]
        + ["--write-out", "\n%{json}", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, report = done.stdout.rpartition("\n")
    return body, json.loads(report)


@pytest.mark.parametrize("stream", [False, True])
def test_curl_gets_an_answer_and_the_row_says_what_curl_says(
    appliance: Appliance, user: tuple[str, str], stream: bool
) -> None:
    """The row has the same body sizes as curl, and no longer latency or time to first byte."""
    name, key = user
    body = json.dumps({"messages": MESSAGES, "max_tokens": 20, "stream": stream})
    for count in range(1, ATTEMPTS + 1):
        report, row = answered_to_curl(appliance, name, key, body, count, stream=stream)
        shortest_ms = (report["time_total"] - report["time_pretransfer"]) * 1000 - 250
        if row["latency_ms"] >= shortest_ms:
            break
    assert row["latency_ms"] >= shortest_ms


def answered_to_curl(
    appliance: Appliance, name: str, key: str, body: str, count: int, *, stream: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send it with curl, as the user's request number `count`: curl's figures and the row, which agree
    but for the shortest latency."""
    answer, report = curl(
        appliance.proxy_url + "/v1/chat/completions", key, "--no-buffer", "--data", body
    )
    assert report["http_code"] == 200
    if stream:
        events = [line.removeprefix("data: ") for line in answer.splitlines() if line[:5] == "data:"]
        assert events[-1] == "[DONE]"
        assert json.loads(events[-2])["choices"][0]["finish_reason"] == "length"
    else:
        choice = json.loads(answer)["choices"][0]
        assert choice["message"]["content"]
        assert choice["finish_reason"] == "length"
    row = rows_of(appliance, name, count)[-1]
    assert (row["status_code"], row["stream"], row["model"]) == (200, stream, "slow.gguf")
    assert row["request_bytes"] == len(body) == report["size_upload"]
    assert row["response_bytes"] == report["size_download"]
    # curl's times begin with its connecting, ours with the request's arrival.
    assert row["latency_ms"] <= report["time_total"] * 1000 + 1
    assert row["ttft_ms"] <= report["time_starttransfer"] * 1000 + 250
    assert row["ttft_ms"] <= row["latency_ms"]
    if not stream:
        assert row["completion_tokens"] == json.loads(answer)["usage"]["completion_tokens"] == 20
    return report, row


def test_the_model_is_listed_under_its_file_name(appliance: Appliance, user: tuple[str, str]) -> None:
    """`/v1/models` works with the user's key at the proxy and with the server's key at the server."""
    name, key = user
    for url, bearer in (
        (appliance.proxy_url, key),
        (appliance.server_url, appliance.server_key),
    ):
        answer, report = curl(url + "/v1/models", bearer)
        assert report["http_code"] == 200
        assert [model["id"] for model in json.loads(answer)["data"]] == ["slow.gguf"]
    (row,) = rows_of(appliance, name, 1)
    assert (row["method"], row["path"], row["status_code"]) == ("GET", "/v1/models", 200)


def test_the_server_answers_its_own_key_alone(appliance: Appliance, user: tuple[str, str]) -> None:
    """The server refuses a user's key and takes its own."""
    body = json.dumps({"messages": MESSAGES, "max_tokens": 3})
    url = appliance.server_url + "/v1/chat/completions"
    answer, report = curl(url, appliance.server_key, "--data", body)
    assert report["http_code"] == 200
    assert json.loads(answer)["choices"]
    assert curl(url, user[1], "--data", body)[1]["http_code"] == 401


def test_the_openai_client_chats_and_streams(appliance: Appliance, user: tuple[str, str]) -> None:
    """The real client gets whole and streamed answers and the list of models."""
    name, key = user
    with client_of(appliance, key) as client:
        assert [model.id for model in client.models.list()] == ["slow.gguf"]
        answer = client.chat.completions.create(model="slow.gguf", messages=MESSAGES, max_tokens=8)
        assert answer.choices[0].message.content
        stream = client.chat.completions.create(
            model="slow", messages=MESSAGES, max_tokens=8, stream=True
        )
        chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason == "length"
    assert any(chunk.choices[0].delta.content for chunk in chunks)
    rows = rows_of(appliance, name, 3)
    assert [row["status_code"] for row in rows] == [200, 200, 200]
    assert [row["stream"] for row in rows] == [False, False, True]


def test_two_users_stream_at_once_and_both_get_all(appliance: Appliance) -> None:
    """Both streams end with a finish_reason; the stock server would cut one off."""
    keys = [create_user(appliance, f"streamer-{number}") for number in range(2)]
    both_begun = threading.Barrier(2, timeout=30)

    def stream(key: str) -> tuple[list[str | None], int]:
        with client_of(appliance, key) as client:
            both_begun.wait()
            chunks = list(
                client.chat.completions.create(
                    model="slow", messages=MESSAGES, max_tokens=60, stream=True
                )
            )
        reasons: list[str | None] = [chunk.choices[0].finish_reason for chunk in chunks]
        return reasons, sum(bool(chunk.choices[0].delta.content) for chunk in chunks)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(stream, keys))
    for reasons, contents in results:
        assert reasons[-1] == "length"
        assert contents > 30
    for number in range(2):
        (row,) = rows_of(appliance, f"streamer-{number}", 1)
        assert (row["status_code"], row["error"]) == (200, None)


def test_a_client_that_leaves_frees_the_model(appliance: Appliance, user: tuple[str, str]) -> None:
    """A stream that would take a minute ends with its client; the next request is served at once."""
    name, key = user
    with client_of(appliance, key) as client:
        stream = client.chat.completions.create(
            model="slow", messages=MESSAGES, max_tokens=4000, stream=True
        )
        for _ in zip(range(5), stream, strict=False):
            pass
        stream.close()
        left = time.monotonic()
        client.chat.completions.create(model="slow", messages=MESSAGES, max_tokens=1)
        assert time.monotonic() - left < 15
    rows = rows_of(appliance, name, 2)
    assert [row["status_code"] for row in rows] == [499, 200]


def test_the_limit_is_exact_and_the_client_s_own_retry_gets_through(appliance: Appliance) -> None:
    """Of 100 requests at once exactly 10 pass; one more passes when its window allows."""
    key = create_user(appliance, "limited", "--rate-limit", "10", "--rate-window-seconds", "8")

    def status(_: int) -> int:
        return int(curl(appliance.proxy_url + "/v1/models", key)[1]["http_code"])

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(status, range(100)))
    assert sorted(statuses) == [200] * 10 + [429] * 90
    with client_of(appliance, key, max_retries=3) as client:
        assert len(list(client.models.list())) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "code"),
    [
        (None, openai.AuthenticationError, "invalid_api_key"),
        (("revoke-key",), openai.AuthenticationError, "invalid_api_key"),
        (("rotate-key",), openai.AuthenticationError, "invalid_api_key"),
        (("deactivate-user",), openai.PermissionDeniedError, "user_inactive"),
        (("delete-user", "--yes"), openai.AuthenticationError, "invalid_api_key"),
        (("create-user", "--expires", "1s"), openai.PermissionDeniedError, "key_expired"),
    ],
    ids=["wrong", "revoked", "rotated", "deactivated", "deleted", "expired"],
)
def test_a_key_that_no_longer_holds_raises_the_right_error(
    appliance: Appliance,
    request: pytest.FixtureRequest,
    arguments: tuple[str, ...] | None,
    error: type[openai.APIStatusError],
    code: str,
) -> None:
    """The openai client raises the matching exception soon after the command."""
    name = request.node.callspec.id
    creating = arguments is not None and arguments[0] == "create-user"
    key = create_user(appliance, name, *(arguments[1:] if creating and arguments else ()))
    if arguments is None:
        key = key[:-1] + ("a" if key[-1] != "a" else "b")
    elif not creating:
        client_of(appliance, key).models.list()
        extra = ["--key", key[4:16]] if arguments[0] == "revoke-key" else []
        appliance.cli(arguments[0], "--username", name, *extra, *arguments[1:])
    raised: list[openai.APIStatusError] = []

    def refused() -> bool:
        with client_of(appliance, key, max_retries=0) as client:
            try:
                client.models.list()
            except openai.APIStatusError as caught:
                raised.append(caught)
        return bool(raised)

    wait_until(refused, "the key to be refused", deadline_s=15)
    assert isinstance(raised[0], error)
    assert raised[0].code == code


def test_usage_adds_up(appliance: Appliance, user: tuple[str, str]) -> None:
    """`usage` prints the number of requests and of tokens that were sent."""
    name, key = user
    body = json.dumps({"messages": MESSAGES, "max_tokens": 4})
    for _ in range(3):
        curl(appliance.proxy_url + "/v1/chat/completions", key, "--data", body)
    rows_of(appliance, name, 3)
    (line,) = json.loads(appliance.cli("usage", "--user", name, "--since", "1h", "--json"))
    assert line["user"] == name
    assert line["requests"] == 3
    assert line["completion_tokens"] == 12


def holders(root: Path, secret: str) -> list[Path]:
    """The files below `root` that contain it, but for those that are removed meanwhile."""
    found = []
    for path in root.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file() and secret.encode() in path.read_bytes():
                found.append(path.relative_to(root))
    return found


def test_no_key_is_written_anywhere(appliance: Appliance, user: tuple[str, str]) -> None:
    """No file of the appliance contains a user's key, and only one has the server's key."""
    _, key = user
    curl(appliance.proxy_url + "/v1/models", key)
    assert holders(appliance.root, appliance.server_key) == [Path("runtime/config.env")]
    assert holders(appliance.root, key) == []
