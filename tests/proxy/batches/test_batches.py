"""`/v1/batches` with OpenAI's client: what becomes of good lines and bad files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import psycopg
import pytest
from aiohttp import web

from proxy.batches import table, worker
from proxy.settings import ProxySettings
from tests.proxy.batches.conftest import BatchUser, lines_of
from tests.support.proxy import running_proxy
from tests.support.upstream import CHAT, FakeUpstream
from tests.support.wait import until


class Echo:
    """An engine that answers a question with itself, and refuses question 3. It can be held up.

    After `answers` answers it is, until `go_on` is set.
    """

    def __init__(self, upstream: FakeUpstream, *, answers: int | None = None) -> None:
        self.questions: list[str] = []
        self._answers = answers
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._upstream = upstream
        upstream.behaviour = self

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        question = json.loads(self._upstream.received[-1].body)["messages"][0]["content"]
        self.questions.append(question)
        if self._answers is not None and len(self.questions) == self._answers + 1:
            self.go_on.clear()
        await self.go_on.wait()
        if question == "question 3":
            return web.json_response({"error": {"message": "no", "code": "bad"}}, status=400)
        return web.json_response({**CHAT, "id": question})


async def test_a_batch_from_upload_to_results(user: BatchUser, upstream: FakeUpstream) -> None:
    """Results stand in the order of the input; a refused line is in the error file; records name it."""
    Echo(upstream)
    batch = await user.at(await user.submit(lines_of(8)), "completed")
    assert batch.request_counts is not None
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (8, 7, 1)
    assert batch.metadata == {"a": "b"}
    results = await user.results(batch.output_file_id)
    assert [result["custom_id"] for result in results] == [f"line-{n}" for n in range(8) if n != 3]
    assert [result["response"]["body"]["id"] for result in results][:2] == ["question 0", "question 1"]
    assert {result["response"]["status_code"] for result in results} == {200}
    (error,) = await user.results(batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("line-3", 400)
    assert error["response"]["body"]["error"]["message"] == "no"
    file = await user.client.files.retrieve(batch.output_file_id or "")
    content = await user.client.files.content(file.id)
    assert (file.bytes, file.purpose) == (len(content.content), "batch_output")
    with psycopg.connect(user.proxy.settings.database_url) as connection:

        def recorded() -> list[Any]:
            return connection.execute(
                "SELECT status_code, tokens_charged FROM llama_requests WHERE batch_id = %s", [batch.id]
            ).fetchall()

        rows = await until(lambda: rows if len(rows := recorded()) == 8 else None, "the records")
    assert sorted(rows) == [(200, 10)] * 7 + [(400, 0)]
    listed = [one.id async for one in user.client.batches.list(limit=1)]
    assert listed == [batch.id]


async def test_lines_count_in_no_window(user: BatchUser, upstream: FakeUpstream) -> None:
    """More lines than the window has requests are run, and leave all of it to the user's requests."""
    Echo(upstream)
    batch = await user.at(await user.submit(lines_of(70)), "completed")
    assert batch.request_counts is not None
    assert batch.request_counts.completed == 69
    raw = await user.client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "hello"}]
    )
    assert raw.headers["x-ratelimit-remaining-requests"] == "59"


BAD: list[tuple[str, bytes | list[Any], int | None, str | None]] = [
    ("empty_file", b"", None, None),
    ("invalid_json_line", b"[\n" + b'  {"custom_id": "a"}\n]', 1, None),
    ("invalid_json_line", json.dumps(lines_of(1)[0]).encode() + b"\nno\n", 2, None),
    ("line_too_long", lines_of(1, pad="x" * 2**20), 1, None),
    ("line_too_long", json.dumps(lines_of(1)[0]).encode() + b"\n" + b"x" * 20_000_000, 2, None),
    ("duplicate_custom_id", lines_of(1) * 2, 2, "custom_id"),
    ("invalid_value", lines_of(1, url="/v1/completions"), 1, "url"),
    ("invalid_value", [{**lines_of(1)[0], "body": []}], 1, "body"),
    ("invalid_value", lines_of(1, stream=True), 1, "body.stream"),
    ("invalid_value", [{**lines_of(1)[0], "custom_id": 7}], 1, "custom_id"),
]


async def test_a_bad_file_fails_as_a_whole(user: BatchUser, upstream: FakeUpstream) -> None:
    """The error names line and field, nothing is run, and no results are left behind."""
    for code, lines, line, param in BAD:
        batch = await user.at(await user.submit(lines), "failed")
        assert batch.errors is not None
        assert batch.errors.data
        first = batch.errors.data[0]
        assert (first.code, first.line, first.param) == (code, line, param)
    assert upstream.received == []
    assert {file.purpose for file in (await user.client.files.list()).data} == {"batch"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"endpoint": "/v1/images/generations"}, "endpoint"),
        ({"endpoint": None}, "endpoint"),
        ({"completion_window": "0h"}, "completion_window"),
        ({"completion_window": "15d"}, "completion_window"),
        ({"input_file_id": "../lines"}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_bad_batch_is_refused(user: BatchUser, fields: dict[str, Any], param: str) -> None:
    """At once, with the name of the field; there is no batch then."""
    body = {"input_file_id": "file-1", "endpoint": "/v1/completions", "completion_window": "24h"}
    with pytest.raises(openai.BadRequestError) as refusal:
        await user.client.post("/batches", body={**body, **fields}, cast_to=object)
    assert refusal.value.param == param
    assert (await user.client.batches.list()).data == []


async def test_the_number_of_lines_is_bounded(
    settings: ProxySettings, create_user: Callable[..., str], upstream: FakeUpstream, database_url: str
) -> None:
    """Of a batch by LLAMA_BATCH_MAX_LINES, of a user by the limit for 24 hours, which those that have
    long waited behind others do not pass by.
    """
    Echo(upstream)
    key = create_user("alice")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE llama_users SET batch_limit = 5")
    async with running_proxy(replace(settings, batch_max_lines=4)) as proxy:
        user = BatchUser(proxy, key)
        for lines, status, code in (
            (5, "failed", "too_many_lines"),
            (3, "completed", ""),
            (3, "failed", "batch_limit_exceeded"),
        ):
            batch = await user.at(await user.submit(lines_of(lines)), "failed", "completed")
            assert batch.status == status
            if code:
                assert batch.errors is not None
                assert batch.errors.data
                assert batch.errors.data[0].code == code
        for column, status in (("created_at", "failed"), ("in_progress_at", "completed")):
            with psycopg.connect(database_url) as connection:
                connection.execute(f"UPDATE llama_batches SET {column} = now() - interval '2 days'")  # noqa: S608
            batch = await user.at(await user.submit(lines_of(3)), "failed", "completed")
            assert batch.status == status
        await user.client.close()


async def test_the_number_of_batches_is_bounded(
    user: BatchUser, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that have ended count: nobody fills the disk with batches that are created and cancelled."""
    monkeypatch.setattr(table, "MAX_KEPT", 2)
    Echo(upstream)
    for _ in range(2):
        await user.at(await user.submit(lines_of(1)), "completed")
    with pytest.raises(openai.RateLimitError) as refusal:
        await user.submit(lines_of(1))
    assert refusal.value.code == "too_many_batches"


async def test_results_wait_for_room(
    settings: ProxySettings,
    create_user: Callable[..., str],
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A batch whose results have no room among all users' files goes on when a file is deleted."""
    monkeypatch.setattr(worker, "LOOK_EVERY_S", 0.01)
    Echo(upstream)
    keys = [create_user(name) for name in ("alice", "bob")]
    async with running_proxy(replace(settings, files_bytes=60_000)) as proxy:
        user, other = [BatchUser(proxy, key) for key in keys]
        filling = await other.client.files.create(file=("f", b"x" * 45_000), purpose="batch")
        batch = await user.submit(lines_of(60))

        async def waits() -> bool:
            return (await user.state(batch)).model_extra["waiting"] is not None  # type: ignore[index]

        await until(waits, "the batch to wait")
        assert (await user.state(batch)).status == "in_progress"
        await other.client.files.delete(filling.id)
        await user.at(batch, "completed")
        await user.client.close()
        await other.client.close()


async def test_a_cancelled_batch_ends_at_once(user: BatchUser, upstream: FakeUpstream) -> None:
    """What has run keeps its result; every other line says that it has not been run."""
    Echo(upstream, answers=6)
    batch = await user.at(await user.submit(lines_of(30)), "in_progress", completed=2)
    so_far = [result["custom_id"] for result in await user.results(batch.output_file_id)]
    assert so_far[:2] == ["line-0", "line-1"]
    assert (await user.client.batches.cancel(batch.id)).status == "cancelling"
    batch = await user.at(batch, "cancelled")
    done = await user.results(batch.output_file_id)
    not_run = [one for one in await user.results(batch.error_file_id) if one["error"] is not None]
    assert {one["error"]["code"] for one in not_run} == {"batch_cancelled"}
    assert 30 - 1 <= len(done) + len(not_run) <= 30
    with pytest.raises(openai.NotFoundError):
        await user.client.batches.cancel("batch_0")


async def test_the_window_is_a_deadline(
    user: BatchUser, upstream: FakeUpstream, database_url: str
) -> None:
    """When it is over, the batch has expired, and every line has a result that says so.

    A batch that still waits behind it then has no lines yet.
    """
    Echo(upstream).go_on.clear()
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION soon() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN NEW.expires_at := now() + interval '3 s'; RETURN NEW; END $$"
        )
        connection.execute(
            "CREATE TRIGGER soon BEFORE INSERT ON llama_batches FOR EACH ROW EXECUTE FUNCTION soon()"
        )
    batch = await user.submit(lines_of(4))
    behind = await user.submit(lines_of(4))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE llama_batches SET expires_at = now() WHERE id = %s", [behind.id])
    batch = await user.at(batch, "expired")
    errors = await user.results(batch.error_file_id)
    assert [error["error"]["code"] for error in errors] == ["batch_expired"] * 4
    assert batch.output_file_id is None
    behind = await user.at(behind, "expired")
    assert behind.request_counts is not None
    assert (behind.request_counts.total, behind.output_file_id, behind.error_file_id) == (0, None, None)


async def test_a_paused_line_is_waited_for(
    settings: ProxySettings, key: str, upstream: FakeUpstream
) -> None:
    """Our engine is silent about a line for as long as users need its slot, which may be hours: the line
    gets its answer all the same, and is asked once. It counts as a slot in use."""
    engine = Echo(upstream)
    engine.go_on.clear()
    upstream.slots = 2
    async with running_proxy(replace(settings, idle_timeout_s=0.2)) as proxy:
        user = BatchUser(proxy, key)
        await until(lambda: proxy.app.turns.engine_is_ours, "the engine to be known")
        batch = await user.submit(lines_of(2))
        await until(lambda: len(engine.questions) == 2, "both lines to run")
        state: Any = proxy.app.operators.api._live.state()
        assert (state["engine"]["busy"], state["engine"]["slots"]) == (2, 2)
        assert {one["batch"] for one in state["running"]} == {batch.id}
        await asyncio.sleep(1)  # for what must not happen
        engine.go_on.set()
        batch = await user.at(batch, "completed")
        assert batch.request_counts is not None
        assert (batch.request_counts.completed, len(engine.questions)) == (2, 2)
        await user.client.close()


async def test_batches_are_their_users_alone(user: BatchUser, create_user: Callable[..., str]) -> None:
    """Nobody else sees, cancels or reads one, or makes one of another's file."""
    batch = await user.at(await user.submit(lines_of(1)), "completed")
    other = user.client.with_options(api_key=create_user("mallory"))
    assert (await other.batches.list()).data == []
    for call in (other.batches.retrieve, other.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await call(batch.id)
    for file_id in (batch.input_file_id, batch.output_file_id or ""):
        with pytest.raises(openai.NotFoundError):
            await other.files.content(file_id)
    with pytest.raises(openai.NotFoundError):
        await other.batches.create(
            input_file_id=batch.input_file_id, endpoint="/v1/completions", completion_window="24h"
        )


async def test_a_new_proxy_goes_on(
    settings: ProxySettings, key: str, upstream: FakeUpstream, database_url: str
) -> None:
    """A batch goes on where its proxy ended: no line that has its result is run again."""
    engine = Echo(upstream, answers=8)
    async with running_proxy(settings) as proxy:
        user = BatchUser(proxy, key)
        batch = await user.submit(lines_of(20))
        await user.at(batch, "in_progress", completed=7)  # and one has failed
        await user.client.close()
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT completed + failed FROM llama_batches").fetchone()
    assert row == (8,)
    engine = Echo(upstream)
    async with running_proxy(settings) as proxy:
        user = BatchUser(proxy, key)
        batch = await user.at(batch, "completed")
        assert len(engine.questions) == 20 - 8
        results = await user.results(batch.output_file_id) + await user.results(batch.error_file_id)
        assert sorted(one["custom_id"] for one in results) == sorted(f"line-{n}" for n in range(20))
        await user.client.close()
