"""Bytes that mean harm, on raw sockets: what comes back, and what an engine gets to see."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
import pytest_asyncio

from tests.support.attacked import Attacked, attacked_proxy
from tests.support.attacks import ATTACKS, KEY, Attack, get, post
from tests.support.fuzz import Fuzz
from tests.support.postgres import Postgres
from tests.support.raw_client import RawAnswer, converse, raw_client
from tests.support.strict_engine import ANSWER, Reached
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = {
    "authorization", "accept-encoding", "x-request-id", "host", "x-llamaserve-usage",
    "x-llamaserve-user", "x-llamaserve-weight", "x-llamaserve-request",
}  # fmt: skip
"""Headers that every request to the engine has once."""
NEVER = {"transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect", "cookie"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacked(postgres: Postgres) -> AsyncIterator[Attacked]:
    """One proxy for all attacks."""
    async with attacked_proxy(postgres) as attacked:
        yield attacked


@contextmanager
def quiet_log(caplog: pytest.LogCaptureFixture, key: str) -> Iterator[None]:
    """Nothing is logged that is worse than a warning, nor a traceback, nor the key."""
    with caplog.at_level(logging.DEBUG):
        yield
    bad = [record for record in caplog.records if record.levelno > logging.WARNING or record.exc_info]
    assert bad == []
    assert key not in caplog.text


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_an_attack(attacked: Attacked, attack: Attack, caplog: pytest.LogCaptureFixture) -> None:
    """The answers that HTTP asks for, and to the engine only what the proxy means, once."""
    with quiet_log(caplog, attacked.key):
        outcome, reached = await attacked.by(attack)
    assert (outcome.statuses, outcome.closed) == (list(attack.answers), attack.closes)
    assert [(request.target, request.body) for request in reached] == list(attack.reaches)
    assert attacked.engine.malformed == []
    for request in reached:
        check_reached(attacked, request, attack.without)
    for answer in outcome.answers:
        check_answer(answer, attack, attacked.key)
    if attack.closes and outcome.answers[-1].status >= 400:
        assert outcome.answers[-1].headers["connection"] == "close"


def check_reached(attacked: Attacked, request: Reached, without: tuple[str, ...]) -> None:
    """The proxy's own framing and key, and nothing of the client's connection."""
    names = [name.lower() for name, _ in request.headers]
    assert all(names.count(name) == 1 for name in OURS)
    assert not NEVER & set(names)
    assert request.values("authorization") == ["Bearer engine-key"]
    assert request.values("host") == [attacked.engine.url.removeprefix("http://")]
    assert UUID(request.values("x-request-id")[0])
    assert attacked.key.encode() not in request.raw
    for text in without:
        assert text.lower().encode() not in request.raw.lower()


def check_answer(answer: RawAnswer, attack: Attack, key: str) -> None:
    """Ours to tell, and an error in OpenAI's envelope that repeats nothing of what was sent."""
    if answer.status == 100:
        return
    assert answer.headers["server"] == "llamaserve"
    assert answer.headers["x-request-id"].startswith("req_")
    assert "x-a" not in answer.headers
    assert key.encode() not in answer.body
    if answer.status < 400 or attack.to_head:
        return
    assert answer.headers["content-type"] == "application/json"
    error = json.loads(answer.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert len(error["message"]) > 10
    assert answer.status in (404, 405) or b"Host" not in answer.body


ENGINE_ANSWERS = {
    "a header with a bare CR": b"X-A: b\rX-Evil: 1\r\n",
    "a header with a bare LF": b"X-A: b\nX-Evil: 1\r\n",
    "a header that is folded": b"X-A: b\r\n X-Evil: 1\r\n",
    "a header with NUL": b"X-A: b\0c\r\n",
    "a header that is no UTF-8": b"X-A: \xff\xfe\r\n",
    "two lengths": b"Content-Length: 3\r\n",
    "length and chunks": b"Transfer-Encoding: chunked\r\n",
    "an x-request-id, a cookie": b"X-Request-ID: evil\r\nSet-Cookie: evil=1\r\nServer: evil\r\n",
    "upgrade": b"Connection: Upgrade\r\nUpgrade: evil\r\n",
}


@pytest.mark.parametrize("lines", ENGINE_ANSWERS.values(), ids=ENGINE_ANSWERS.keys())
async def test_an_engine_s_headers_inject_nothing(
    attacked: Attacked, lines: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets one answer in the proxy's own framing, the engine's or a 502."""
    attacked.engine.answer = ANSWER.replace(b"Content-Type", lines + b"Content-Type", 1)
    attacked.engine.closes = True
    try:
        with quiet_log(caplog, attacked.key):
            sent = get().replace(b"{KEY}", attacked.key.encode())
            outcome = await converse(attacked.proxy.url, [sent], 1, closes=False)
    finally:
        attacked.engine.answer, attacked.engine.closes = ANSWER, False
    (answer,) = outcome.answers
    assert answer.status in (200, 502)
    assert answer.headers["server"] == "llamaserve"
    assert answer.headers["x-request-id"].startswith("req_")
    assert not {"set-cookie", "upgrade"} & set(answer.headers)


async def test_who_expects_100_is_asked_for_the_body_only_when_it_is_wanted(attacked: Attacked) -> None:
    """After the key, the path and the windows have been looked at; then the answer comes as ever."""
    attacked.engine.reached.clear()
    async with raw_client(attacked.proxy.url) as client:
        sent = post("Expect: 100-continue", "Content-Length: 2").replace(KEY, attacked.key.encode())
        await client.send(sent)
        first = await client.answer()
        assert first is not None
        assert first.status == 100
        await client.send(b"{}")
        outcome = await client.outcome(1, closes=False)
    assert outcome.statuses == [200]
    assert [request.body for request in attacked.engine.reached] == [b"{}"]


async def test_what_follows_a_body_in_its_segment_is_not_the_body_s_fault(attacked: Attacked) -> None:
    """The request is answered, and what is no HTTP after it too."""
    attacked.engine.reached.clear()
    async with raw_client(attacked.proxy.url) as client:
        await client.send(post("Content-Length: 2").replace(KEY, attacked.key.encode()))
        await until(attacked.proxy.under_way, "the request to have begun")
        await client.send(b"{}\0\r\n\r\n")
        outcome = await client.outcome(2, closes=True)
    assert outcome.statuses == [200, 400]
    assert [request.body for request in attacked.engine.reached] == [b"{}"]


async def test_random_changes_of_requests_smuggle_nothing(
    attacked: Attacked, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request at the engine was answered once, to who sent it; the proxy lives and logs no fault.

    `python -m tests.bench.attacks fuzz SECONDS SEED` goes on for longer.
    """
    attacked.engine.reached.clear()
    with quiet_log(caplog, attacked.key):
        fuzz = Fuzz(attacked, seed=7)
        await fuzz.round(64, at_once=32)
    assert fuzz.reached > 0
    assert fuzz.statuses[400] > 0
