"""The API round the answers: keys, models, errors, ids, metrics, documentation, other origins."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.engine.http.embeddings import RERANK_PATHS
from tests.support.client import CHAT, COMPLETIONS, HELLO, MODELS, Answer
from tests.support.engine import Engine

POSTS = (
    CHAT,
    COMPLETIONS,
    "/v1/engines/copilot-codex/completions",
    "/v1/responses",
    "/extras/tokenize",
    "/extras/tokenize/count",
    "/extras/detokenize",
)
ANTHROPIC_S = ("/v1/messages", "/v1/messages/count_tokens")
GETS = (MODELS, "/v1/models/quick.gguf", "/metrics", "/openapi.json", "/docs")


@pytest.mark.parametrize("path", [*GETS, *POSTS, "/no/such/path"])
async def test_nothing_but_health_is_shown_without_the_key(quick: Engine, path: str) -> None:
    """Documentation and metrics neither, nor which paths there are."""
    for key, code in (("", None), ("wrong-key-of-some-length", "invalid_api_key")):
        answer = await quick.get(path, key=key)
        assert answer.status == 401
        assert answer.error["type"] == "invalid_request_error"
        assert answer.error["code"] == code
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "wrong-key-of-some-length" not in answer.text


@pytest.mark.parametrize("path", ["/no/such/path", "/v1", "/v1/models2", "/V1/MODELS"])
async def test_an_unknown_path_is_a_404(quick: Engine, path: str) -> None:
    """In the envelope; the stock server has another."""
    answer = await quick.get(path)

    assert (answer.status, answer.error["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", path, "POST") for path in POSTS]
    + [("POST", path, "GET") for path in GETS]
    + [("DELETE", CHAT, "POST"), ("OPTIONS", CHAT, "POST")],
)
async def test_another_method_is_a_405(quick: Engine, method: str, path: str, allowed: str) -> None:
    """With what is allowed. OPTIONS too, as no other origin may call."""
    answer = await quick.request(method, path)

    assert (answer.status, answer.error["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


async def test_the_model_is_listed_and_found(quick: Engine) -> None:
    """Under its file's name, with or without the ending."""
    listed = (await quick.get(MODELS)).json
    found = [(await quick.get(f"{MODELS}/{name}")).json for name in ("quick.gguf", "quick")]

    assert [model["id"] for model in listed["data"]] == ["quick.gguf"]
    assert found == listed["data"] * 2
    assert found[0]["context_length"] == 512


@pytest.mark.parametrize("name", ["gpt-4o", "quick.gguf2", "QUICK", "x" * 500])
async def test_an_unknown_model_is_a_404(quick: Engine, name: str) -> None:
    """Wherever it is named; the stock server takes any for the one there is."""
    answers = [
        await quick.get(f"{MODELS}/{name}"),
        await quick.chat(model=name),
        await quick.complete(model=name),
        await quick.post("/extras/tokenize", {"model": name, "input": "x"}),
        await quick.post("/extras/detokenize", {"model": name, "tokens": [40]}),
    ]

    assert [answer.status for answer in answers] == [404] * 5
    assert {answer.error["code"] for answer in answers} == {"model_not_found"}


@pytest.mark.parametrize("named", [{}, {"model": None}, {"model": ""}, {"model": "quick"}])
async def test_the_model_need_not_be_named(quick: Engine, named: dict[str, str]) -> None:
    """Its answers name it."""
    answer = await quick.chat(**named)

    assert answer.json["model"] == "quick.gguf"


@pytest.mark.parametrize("sent", ["abc-123", "no uuid at all!", "x" * 1000, ""])
async def test_every_answer_has_an_id(quick: Engine, sent: str) -> None:
    """Of our making; the stock server answers a client's own that is no UUID with an empty 400."""
    for answer in (
        await quick.get(MODELS, headers={"X-Request-ID": sent}),
        await quick.post(CHAT, {"messages": HELLO, "max_tokens": 1}, headers={"X-Request-ID": sent}),
        await quick.get("/no/such/path", headers={"X-Request-ID": sent}),
    ):
        shown = answer.headers.getall("X-Request-ID")  # type: ignore[attr-defined]
        assert len(shown) == 1
        assert re.fullmatch("req_[0-9a-f]{32}", shown[0])
        assert int(answer.headers["openai-processing-ms"]) >= 0


async def test_the_documentation_is_true(quick: Engine) -> None:
    """Each path in it is served, each that is served is in it, and so are the requests' fields."""
    document = (await quick.get("/openapi.json")).json

    for path, operations in document["paths"].items():
        (method,) = operations
        answer = await quick.request(method.upper(), path.replace("{model}", "quick"), data=b"{}")
        assert answer.status in (200, 400)
        assert operations[method]["summary"]
    undocumented = {"/v1/engines/copilot-codex/completions", "/openapi.json", "/docs"}
    assert set(document["paths"]) == {
        *POSTS,
        *ANTHROPIC_S,
        "/v1/embeddings",
        *RERANK_PATHS,
        MODELS,
        "/v1/models/{model}",
        "/metrics",
        "/health",
    } - (undocumented)
    chat = document["components"]["schemas"]["ChatRequest"]["properties"]
    assert "max_completion_tokens" in chat
    assert chat["temperature"]["maximum"] == 2
    text = json.dumps(document)
    for name in set(re.findall(r"#/components/schemas/(\w+)", text)):
        assert name in document["components"]["schemas"]
    assert "HTTPValidationError" not in {
        reference
        for path in document["paths"].values()
        for reference in re.findall(r"\w+ValidationError", json.dumps(path))
    }


async def test_the_page_holds_the_documentation(quick: Engine) -> None:
    """A browser has no key to fetch it with."""
    page = (await quick.get("/docs")).text

    found = re.search(r"data:application/json;base64,([A-Za-z0-9+/=]+)", page)
    assert found is not None
    assert json.loads(base64.b64decode(found[1])) == (await quick.get("/openapi.json")).json


async def test_metrics_count_what_is_done(quick: Engine) -> None:
    """Requests by path and status, tokens, seconds, and what of prompts was reused."""
    names = (
        "llama_prompt_tokens_total",
        "llama_generated_tokens_total",
        "llama_prompt_tokens_cached_total",
        "llama_prompt_seconds_total",
        "llama_generation_seconds_total",
        "llama_prefix_cache_hits_total",
    )
    before = {name: await quick.metric(name) for name in names}
    messages = [{"role": "user", "content": "Count me, please"}]
    first = await quick.chat(messages=messages, max_tokens=9)
    await quick.chat(messages=messages, max_tokens=9)
    after = {name: await quick.metric(name) for name in names}

    grown = {name: after[name] - before[name] for name in names}
    assert grown["llama_prompt_tokens_total"] == 2 * first.usage["prompt_tokens"]
    assert grown["llama_generated_tokens_total"] == 18
    assert grown["llama_prompt_tokens_cached_total"] >= first.usage["prompt_tokens"] - 1
    assert grown["llama_prefix_cache_hits_total"] >= 1
    assert grown["llama_prompt_seconds_total"] > 0
    assert grown["llama_generation_seconds_total"] > 0
    shown = await quick.get("/metrics")
    assert shown.headers["Content-Type"].startswith("text/plain")
    assert re.search(r'llama_requests_total\{path="/v1/chat/completions",status="200"\} \d', shown.text)


async def test_no_other_origin_may_call(quick: Engine) -> None:
    """A page's script gets nothing; the stock server allows every origin, with credentials."""
    answer = await quick.get(MODELS, headers={"Origin": "https://elsewhere.example"})

    assert _cors(answer) == {}


def _cors(answer: Answer) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in answer.headers.items()
        if name.lower().startswith("access-control-")
    }


@pytest.fixture
def open_engine(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine for the pages of one origin, and for any model's name."""
    env = {"LLAMA_SERVER_CORS_ORIGINS": "https://chat.example", "LLAMA_SERVER_ANY_MODEL": "1"}
    with Engine(tmp_path, models / "quick.gguf", env=env) as engine:
        yield engine.start()


async def test_settings_open_it_to_an_origin_and_to_any_model_s_name(open_engine: Engine) -> None:
    """A preflight request needs no key: browsers send none."""
    origin = {"Origin": "https://chat.example"}
    asking = origin | {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    preflight = await open_engine.request("OPTIONS", CHAT, key="", headers=asking)
    elsewhere = asking | {"Origin": "https://elsewhere.example"}
    refused = await open_engine.request("OPTIONS", CHAT, key="", headers=elsewhere)
    health = await open_engine.get("/health", headers=origin)
    wrong = await open_engine.get(MODELS, key="wrong", headers=origin)
    allowed = await open_engine.get(MODELS, headers=origin)
    other = await open_engine.get(MODELS, headers={"Origin": "https://elsewhere.example"})
    answer = await open_engine.chat(model="gpt-4o")

    assert (preflight.status, preflight.text) == (204, "")
    assert "authorization" in _cors(preflight)["access-control-allow-headers"]
    assert refused.status == 403
    assert _cors(health) == _cors(wrong) == _cors(allowed)
    assert wrong.status == 401
    assert _cors(allowed)["access-control-allow-origin"] == "https://chat.example"
    assert "access-control-allow-origin" not in _cors(other)
    assert answer.json["model"] == "quick.gguf"
