"""POST /internal/validate/PATH: would this request be refused? The proxy asks while one waits."""

from __future__ import annotations

import pytest

from tests.support.client import CHAT, COMPLETIONS, HELLO, MODELS
from tests.support.engine import Engine

VALIDATE = "/internal/validate"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": HELLO, "top_p": 2}, "top_p"),
        (CHAT, {"messages": HELLO, "model": "another"}, "model"),
        (CHAT, {"messages": [{"role": "user", "content": "word " * 5000}]}, "messages"),
        (COMPLETIONS, {"prompt": "x", "n": 3, "best_of": 2}, "best_of"),
    ],
)
async def test_what_would_be_refused_is_refused_in_the_same_words(
    quick: Engine, path: str, body: dict[str, object], param: str
) -> None:
    """Status and error are those of the request itself."""
    asked = await quick.post(VALIDATE + path, body)
    sent = await quick.post(path, body)

    assert asked.error["param"] == param
    assert (asked.status, asked.error) == (sent.status, sent.error)


async def test_a_good_request_is_valid_and_generates_nothing(quick: Engine) -> None:
    """A grammar that has not been compiled yet passes: compiling may take seconds."""
    before = await quick.metric("llama_generated_tokens_total")
    for body in ({"messages": HELLO}, {"messages": HELLO, "grammar": 'start: "a" nothing'}):
        asked = await quick.post(VALIDATE + CHAT, body)
        assert (asked.status, asked.json) == (200, {"valid": True})
    assert await quick.metric("llama_generated_tokens_total") == before


async def test_only_what_generates_can_be_asked_about(quick: Engine) -> None:
    """And only with the key, like everything below /internal/."""
    for path in ("/extras/tokenize", "/nothing", "/internal/validate/v1/completions"):
        asked = await quick.post(VALIDATE + path, {})
        assert (asked.status, asked.error["code"]) == (404, "unknown_url")
    assert (await quick.post(VALIDATE + CHAT, {}, key="")).status == 401


async def test_the_key_may_stand_in_other_clients_headers_and_paths_may_end_in_a_slash(
    quick: Engine,
) -> None:
    """As with the proxy."""
    key = quick.headers["Authorization"].removeprefix("Bearer ")
    for name in ("x-api-key", "api-key"):
        assert (await quick.get(f"{MODELS}/", key="", headers={name: key})).status == 200
        assert (await quick.get(MODELS, key="", headers={name: "wrong"})).status == 401
    listed = await quick.get(f"{MODELS}/")
    assert listed.json["object"] == "list"
