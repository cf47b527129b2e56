"""The list of models on the page Machine, without a browser."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from nicegui import Client, ui

from proxy.dashboard.console import commands
from proxy.dashboard.console.jobs import Jobs
from proxy.dashboard.console.runner import Console
from proxy.dashboard.data.errors import Unavailable
from proxy.dashboard.layout.page import View
from proxy.dashboard.pages.machine import models
from tests.support.wait import until


def model(state: str) -> list[dict[str, Any]]:
    return [{"name": "a.gguf", "state": state, "problem": "too small"}]


async def test_a_list_that_could_not_be_read_is_read_again(console_that: Callable[[str], Path]) -> None:
    """A job has changed which model is served, and the first reading after its end fails."""
    root = console_that("test ! -e broken && cat list")
    (root / "list").write_text(json.dumps(model("")))
    jobs, console = Jobs(root), Console(root)
    services = SimpleNamespace(
        console=console, jobs=jobs, settings=SimpleNamespace(config=SimpleNamespace(root=root))
    )
    refreshes: list[Callable[[], Awaitable[None]]] = []
    view = SimpleNamespace(
        services=services,
        check=lambda **_: None,
        action=lambda act, **_: act,
        every=lambda _, refresh: refreshes.append(refresh),
    )
    with Client(ui.page(""), request=None) as client:
        models.build(cast(View, view), ui.element())
        (refresh,) = refreshes

        def texts() -> list[str]:
            return [one.text for one in client.elements.values() if isinstance(one, ui.label)]

        await refresh()
        job = jobs.begin(commands.pull("smollm2"), "root")
        await refresh()
        await until(lambda: not job.runs, "the job to end")
        (root / "list").write_text(json.dumps(model("served")))
        (root / "broken").touch()
        with pytest.raises(Unavailable):
            await refresh()
        assert "served" not in texts()
        (root / "broken").unlink()
        await refresh()
        assert "served" in texts()
        client.delete()
    await jobs.close()
    await console.close()
