"""Answers of the console are shared, bounded, and never a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.dashboard.console.commands import DOCTOR, MODELS, Command
from proxy.dashboard.console.runner import Console
from proxy.dashboard.data.errors import Unavailable
from tests.proxy.dashboard.console.conftest import is_running
from tests.support.wait import until

Write = Callable[[str], Path]


async def test_those_who_ask_at_the_same_time_share_a_process(console_that: Write) -> None:
    """And soon after; `fresh` runs it again. One that leaves does not end it for the others."""
    root = console_that("sleep 0.2; echo '[1]'")
    console = Console(root)
    leaving = asyncio.create_task(console.ask(MODELS))
    staying = [asyncio.create_task(console.ask(MODELS)) for _ in range(5)]
    await asyncio.sleep(0.05)
    leaving.cancel()
    assert await asyncio.gather(*staying) == [[1]] * 5
    assert await console.ask(MODELS) == [1]
    assert await console.ask(MODELS, fresh=True) == [1]
    assert (root / "calls").read_text() == "models --json\n" * 2


async def test_an_exit_status_may_be_an_answer(console_that: Write) -> None:
    """As that of doctor, which has found a problem."""
    root = console_that("echo '{}'; exit 1")
    assert await Console(root).ask(DOCTOR) == {}
    with pytest.raises(Unavailable, match=r"console\.sh models --json failed"):
        await Console(root).ask(MODELS)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("echo 'error: no model' >&2; exit 1", "failed: error: no model"),
        ("echo no JSON", "failed: it said nothing"),
        ("head -c 3000000 /dev/zero | tr '\\0' '['", "failed"),
        ("sleep 60 & wait", "takes too long"),
    ],
)
async def test_what_goes_wrong_is_told_in_a_line(console_that: Write, body: str, match: str) -> None:
    """The last line that the command wrote; nothing that it has started goes on."""
    root = console_that(f"echo $$ >pid; {body}")
    command = Command(arguments=("models", "--json"), timeout_s=2 if "sleep" in body else 10)
    with pytest.raises(Unavailable, match=match):
        await Console(root).ask(command)
    pid = int((root / "pid").read_text())
    await until(lambda: not is_running(pid), "the process to end")


async def test_a_console_that_is_missing_is_told(tmp_path: Path) -> None:
    """As a checkout that has been moved."""
    with pytest.raises(Unavailable, match="cannot be started: No such file"):
        await Console(tmp_path).ask(MODELS)
