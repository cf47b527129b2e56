"""/openapi.json is true: what the paths answer, errors included, fits the schemas that it gives."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.client import CHAT, COMPLETIONS, HELLO, MODELS
from tests.support.engine import Engine

MESSAGES = {"messages": HELLO, "max_tokens": 4}
GOOD: list[tuple[str, dict[str, Any]]] = [
    (CHAT, MESSAGES),
    (CHAT, {**MESSAGES, "logprobs": True, "top_logprobs": 2, "n": 2}),
    (COMPLETIONS, {"prompt": ["a", "b"], "max_tokens": 2, "logprobs": 1}),
    ("/v1/responses", {"input": "Hello", "max_output_tokens": 16}),
    ("/v1/messages", {**MESSAGES, "model": "quick.gguf"}),
    ("/v1/messages/count_tokens", {"messages": HELLO, "model": "quick.gguf"}),
    ("/extras/tokenize", {"input": "Hello"}),
    ("/extras/tokenize/count", {"input": "Hello"}),
    ("/extras/detokenize", {"tokens": [1, 2]}),
]
EXAMPLES = 4
"""How many requests schemathesis makes for each path, and as many that are wrong."""
STREAMED = (CHAT, COMPLETIONS, "/v1/responses", "/v1/messages")


def schema_of(document: dict[str, Any], path: str, method: str, status: str) -> dict[str, Any]:
    """The schema of a response, with the document's own references in it."""
    content = document["paths"][path][method]["responses"][status]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


async def test_good_responses_are_as_described(quick: Engine) -> None:
    """Members that clients rely on are there, with their types."""
    document = (await quick.get("/openapi.json")).json
    for path, body in GOOD:
        answer = await quick.post(path, body)
        assert answer.status == 200, answer
        jsonschema.validate(answer.json, schema_of(document, path, "post", "200"))
    for path, shown in ((MODELS, MODELS), (f"{MODELS}/quick", f"{MODELS}/{{model}}"), ("/health",) * 2):
        answer = await quick.get(path)
        jsonschema.validate(answer.json, schema_of(document, shown, "get", "200"))


async def test_errors_are_as_described(quick: Engine) -> None:
    """On every path that takes a body: no object, no field, another model."""
    document = (await quick.get("/openapi.json")).json
    posts = [path for path, operations in document["paths"].items() if "post" in operations]
    assert len(posts) >= len({path for path, _ in GOOD})
    for path in posts:
        for body in (b"[]", b"{", b'{"model": "another"}', b'{"model": 5}'):
            answer = await quick.post(path, body)
            assert 400 <= answer.status < 500, (path, body, answer)
            error = schema_of(document, path, "post", "default")
            jsonschema.validate(answer.json, error)


@pytest.mark.parametrize("path", STREAMED)
async def test_streams_are_described(quick: Engine, path: str) -> None:
    """With the media type that they really have; what cannot stream is not said to."""
    document = (await quick.get("/openapi.json")).json
    body = {**dict(GOOD)[path], "stream": True}
    answer = await quick.post(path, body)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    streams = {
        shown
        for shown, operations in document["paths"].items()
        for operation in operations.values()
        if "text/event-stream" in operation["responses"]["200"]["content"]
    }
    assert streams == set(STREAMED)


async def test_whatever_the_description_allows_or_forbids_is_answered_as_it_says(
    quick: Engine, tmp_path: Path
) -> None:
    """schemathesis makes requests from it: no 5xx, and no response that does not conform."""
    checks = (
        "not_a_server_error", "status_code_conformance", "content_type_conformance",
        "response_schema_conformance",
    )  # fmt: skip
    command = await asyncio.create_subprocess_exec(
        Path(sys.executable).parent / "schemathesis", "run", f"{quick.url}/openapi.json",
        "--header", f"Authorization: {quick.headers['Authorization']}",
        "--phases", "fuzzing", "--checks", ",".join(checks), "--max-examples", str(EXAMPLES),
        "--generation-database", "none", "--no-color",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await command.communicate()

    assert command.returncode == 0, output.decode()
    found = re.search(rb"(\d+) generated, (\d+) passed", output)
    assert found is not None, output.decode()
    assert int(found[1]) > 20
