"""The proxy in front of llama.cpp's own server, an engine that is not ours."""

from __future__ import annotations

import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.config import ROOT
from tests.support.process import free_port
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.wait import until, wait_until

PROGRAM = shutil.which("llama-server")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no llama-server here")

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
REQUESTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": {"prompt": "Once upon a time", "max_tokens": 4},
    "/v1/responses": {"input": "Hello", "max_output_tokens": 4},
    "/v1/messages": CHAT,
}


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL."""
    assert PROGRAM is not None
    url = f"http://127.0.0.1:{free_port()}"
    model = ROOT / "models" / "starter" / "llamaserve-starter.gguf"
    options = ["--parallel", "2", "--threads", "1", "--ctx-size", "2048", "--api-key", "engine-key"]
    command = [PROGRAM, "--model", str(model), "--port", url.rpartition(":")[2], *options]
    log = tmp_path_factory.mktemp("llama-server") / "log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            wait_until(lambda: _is_ready(url, process, log), "llama-server to answer")
            yield url
        finally:
            process.kill()


def _is_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")
    try:
        with urllib.request.urlopen(url + "/health", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False


@pytest.fixture
async def foreign(llama_server: str, database_url: str, directory: Path) -> AsyncIterator[RunningProxy]:
    """A proxy in front of it, with the slots given by the setting."""
    settings = settings_for(
        database_url=database_url, backend_url=llama_server, directory=directory, max_concurrent=2
    )
    async with running_proxy(settings) as proxy:
        yield proxy


async def test_every_api_is_recorded_with_the_tokens_that_it_used(
    foreign: RunningProxy, create_user: Callable[..., str]
) -> None:
    """Streams have the numbers of whole responses, in records and in the token window."""
    key = create_user("alice", token_limit=10_000, rate_limit=100)
    for path, fields in REQUESTS.items():
        for stream in (False, True):
            body = {**fields, "stream": stream, "temperature": 0, "seed": 1}
            async with foreign.request("POST", path, key=key, json=body) as response:
                text = await response.text()
                assert response.status == 200, text
                if stream and "completions" in path:
                    assert '"choices":[]' not in text
                    assert text.endswith("data: [DONE]\n\n")
    rows = await foreign.rows(2 * len(REQUESTS))
    for whole, streamed in zip(rows[::2], rows[1::2], strict=True):
        assert whole["prompt_tokens"] > 0 < whole["completion_tokens"]
        for column in ("prompt_tokens", "completion_tokens", "tokens_charged"):
            assert whole[column] == streamed[column], (whole["path"], column)
    async with foreign.chat(key, max_tokens=1) as response:
        used = 10_000 - int(response.headers["x-ratelimit-remaining-tokens"])
    assert used == sum(row["tokens_charged"] for row in rows)


async def test_a_client_that_leaves_ends_the_generation(foreign: RunningProxy, key: str) -> None:
    """The slot is free for the next, and the tokens that nobody can tell are estimated."""
    body = {"prompt": "Once upon a time", "max_tokens": 2000, "stream": True, "ignore_eos": True}
    async with foreign.request("POST", "/v1/completions", key=key, json=body) as response:
        await response.content.readline()
        response.close()
    await until(lambda: not foreign.at_engine(), "the turn to end")
    (row,) = await foreign.rows(1)
    assert (row["status_code"], row["error"]) == (499, "client_left")
    assert row["tokens_charged"] > 0


async def test_its_errors_reach_the_client(foreign: RunningProxy, key: str) -> None:
    """A bad field is the client's 400, with the engine's text."""
    async with foreign.chat(key, temperature="hot") as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"]
