"""A model that makes no progress is noticed, and its process ends so that it is replaced."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from runtime.config import ROOT
from runtime.engine.watchdog.progress import Progress, Watchdog
from tests.support.engine import Engine
from tests.support.gguf import token_ids
from tests.support.wait import until

HANG_S = 3
IDS = token_ids()


def test_progress_counts_from_the_last_step() -> None:
    """And not at all while there is nothing to do."""
    now = 100.0
    progress = Progress(lambda: now)

    assert progress.stalled_s() == 0
    progress.step()
    now = 107.0
    assert progress.stalled_s() == 7
    progress.step()
    assert progress.stalled_s() == 0
    now = 200.0
    progress.rest()
    assert progress.stalled_s() == 0


def test_one_model_that_stands_still_is_noticed_beside_others_that_go_on() -> None:
    """Each has its own count."""
    now = 100.0
    models = [Progress(lambda: now), Progress(lambda: now)]
    watchdog = Watchdog(models, hang_s=5, log=sys.stderr)

    for model in models:
        model.step()
    now = 107.0
    models[0].step()
    assert watchdog.stuck
    models[1].rest()
    assert not watchdog.stuck


@pytest.fixture
def hanging(models: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine that hangs on command."""
    env = {"LLAMA_SERVER_HANG_SECONDS": str(HANG_S), "PYTHONPATH": str(ROOT)}
    with Engine(tmp_path, models / "slow.gguf", env=env) as engine:
        engine.command = [sys.executable, "-m", "tests.support.hanging_engine"]
        yield engine.start()


def prompt(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


async def test_a_model_that_hangs_makes_health_fail_and_ends_the_process(hanging: Engine) -> None:
    """Health is 503 for a while first; the log tells why, and where it hung."""
    assert (await hanging.chat(max_tokens=2)).status == 200
    running = asyncio.create_task(hanging.chat(messages=prompt("hang #")))
    seen = set()

    async def ended() -> bool:
        if hanging.alive:
            try:
                seen.add((await hanging.get("/health")).status)
            except aiohttp.ClientError:
                return not hanging.alive
        return not hanging.alive

    await until(ended, "the process to end")
    with pytest.raises(aiohttp.ClientError):
        await running

    assert seen == {200, 503}
    assert hanging.wait() == 1
    assert "LLAMA_SERVER_HANG_SECONDS=3" in hanging.log
    assert "hanging_engine.py" in hanging.log


async def test_a_hang_that_keeps_the_interpreter_s_lock_ends_the_process_too(hanging: Engine) -> None:
    """Nothing of Python runs any more: a thread of C's does it."""
    running = asyncio.create_task(hanging.chat(messages=prompt("hang @")))

    await until(lambda: not hanging.alive, "the process to end")
    with pytest.raises(aiohttp.ClientError):
        await running

    assert hanging.wait() == 1
    assert "Timeout" in hanging.log


async def test_work_that_goes_on_is_no_hang(models: Path, tmp_path: Path) -> None:
    """A prompt and an answer that take longer than that, batch by batch and token by token."""
    env = {"LLAMA_SERVER_HANG_SECONDS": "4", "LLAMA_SERVER_N_BATCH": "16"}
    with Engine(tmp_path, models / "slow.gguf", env=env) as engine:
        engine.start()
        asked = asyncio.create_task(
            engine.chat(messages=prompt("z " * 500), max_tokens=60, temperature=0)
        )
        statuses = set()
        while not asked.done():
            statuses.add((await engine.get("/health")).status)
            await asyncio.wait([asked], timeout=0.2)
        answer = await asked

    assert answer.usage["completion_tokens"] == 60
    assert int(answer.headers["openai-processing-ms"]) > 4000, "longer than a hang"
    assert statuses == {200}


async def test_a_batch_that_cannot_be_evaluated_ends_its_cause_alone(hanging: Engine) -> None:
    """The others' responses go on, and are what they would have been."""
    body = {"max_tokens": 60, "logit_bias": {str(IDS["a"]): 100}}
    others = [asyncio.create_task(hanging.chat(seed=number, **body)) for number in range(3)]
    await until(hanging.is_generating, "the others to be generated")
    failed = await hanging.chat(messages=prompt("fail % and fail"))
    streamed = await hanging.stream(messages=prompt("fail % and fail"))

    assert (failed.status, failed.error["type"]) == (500, "server_error")
    assert streamed.status == 500
    assert [(await other).content for other in others] == ["a" * 60] * 3
    assert "could not evaluate" in hanging.log
    assert (await hanging.chat(max_tokens=2)).status == 200
