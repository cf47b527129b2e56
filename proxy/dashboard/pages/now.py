"""What happens now: who runs, who waits, how fast it goes, and how the last hour was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from nicegui import ui
from nicegui.events import GenericEventArguments

from proxy.dashboard.console import commands
from proxy.dashboard.data import breakdowns
from proxy.dashboard.layout import parts, units
from proxy.dashboard.layout.dialogs import confirmed
from proxy.dashboard.layout.page import Page, View

LIVE_EVERY_S = 1.0
HISTORY_EVERY_S = 5.0
PARTS_EVERY_S = 20.0
"""Seldom, since it takes half a second of a processor."""
_HOUR = timedelta(hours=1)

_PROMPT_CELL = """
<q-td :props="props"><div class="read" v-if="props.row.read !== null">
  <q-linear-progress :value="props.row.read" rounded size="6px" />
  <span>{{ props.value }}</span></div><span v-else>–</span></q-td>
"""
_END_CELL = """
<q-td :props="props"><q-btn flat dense no-caps size="sm" label="End"
  :aria-label="'End the request of ' + props.row.user"
  @click="() => $parent.$emit('end', props.row)" /></q-td>
"""
_ENGINE_STATE_CELL = """
<q-td :props="props"><span class="tag"
  :data-state="props.value === 'ready' ? '' : props.value === 'away' ? 'problem' : 'warning'"
  >{{ props.value }}</span></q-td>
"""


class NowPage:
    """The page's parts, and how they are refreshed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tiles()
        self._engines = (
            self._engines_panel() if view.is_admin and view.services.settings.several else None
        )
        with parts.panel("Running"):
            self._running = self._running_table()
        with parts.panel("Waiting, in the order of turns"):
            self._waiting = parts.table(
                [
                    parts.column("place", "Place", number=True),
                    parts.column("user", "User"),
                    parts.column("since", "Since"),
                    parts.column("age", "Waits for", number=True),
                    parts.column("estimate", "Turn in about", number=True),
                ],
                key="row", empty="Nobody waits.", times=["since"],
            )  # fmt: skip
        whose = "" if view.is_admin else "Your "
        with ui.element("div").classes("pair"):
            with parts.panel(f"{whose}requests a minute, last hour".capitalize()):
                self._requests = parts.time_chart(
                    [{"name": "admitted", "stack": "all"}, {"name": "refused", "stack": "all"}],
                    unit="",
                )
            with parts.panel(f"{whose}time to first token, last hour".capitalize()):
                self._ttft = parts.time_chart(
                    [{"name": "median", "connectNulls": True, "showSymbol": True}],
                    unit="s",
                    kind="line",
                )
        view.every(LIVE_EVERY_S, self._show_live)
        view.every(HISTORY_EVERY_S, self._show_history)
        if view.is_admin:
            with parts.panel("Parts"):
                self._parts = _parts_table()
            view.every(PARTS_EVERY_S, self._show_parts)

    def _tiles(self) -> None:
        with ui.element("div").classes("tiles"):
            self._model = parts.tile("model").classes("name")
            self._slots = parts.tile("slots in use")
            self._queue = parts.tile("requests waiting")
            self._rate = parts.tile("tokens a second")
        self._away = ui.label("The engine does not answer: requests wait until it does.")
        self._away.classes("problem").set_visibility(False)

    def _engines_panel(self) -> ui.table:
        with parts.panel("Engines"):
            table = parts.table(
                [
                    parts.column("url", "Engine"),
                    parts.column("state", "State"),
                    parts.column("model", "Model"),
                    parts.column("running", "Running", number=True),
                    parts.column("slots", "Slots", number=True),
                ],
                key="url",
                empty="The proxy has no engine.",
            )
        table.add_slot("body-cell-state", _ENGINE_STATE_CELL)
        return table

    def _running_table(self) -> ui.table:
        columns = [
            parts.column("user", "User"),
            parts.column("since", "Since"),
            parts.column("path", "Path"),
            parts.column("state", "State"),
            parts.column("prompt", "Prompt read"),
            parts.column("tokens", "Tokens", number=True),
            parts.column("first", "First token", number=True),
            parts.column("age", "Runs for", number=True),
        ]
        if self._view.is_admin:
            if self._view.services.settings.several:
                columns[1] = parts.column("engine", "Engine")  # "Runs for" says since when, too
            columns.append(parts.column("end", ""))
        table = parts.table(
            columns, key="row", empty="Nothing runs. Connect shows how to send a request.",
            times=["since"],
        )  # fmt: skip
        table.classes("running").add_slot("body-cell-prompt", _PROMPT_CELL)
        if self._view.is_admin:
            table.add_slot("body-cell-end", _END_CELL)
            table.on("end", self._view.action(self._ask_to_end, admin=True))
        return table

    async def _ask_to_end(self, event: GenericEventArguments) -> None:
        request_id, user = str(event.args["row"]), str(event.args["user"])
        question = f"End this request of {user}? Its client gets an error that says so."
        if await confirmed(question, "End it"):
            self._view.check(admin=True)
            await self._view.services.live.end_request(request_id, self._view.session.key)

    async def _show_live(self) -> None:
        state = await self._view.services.live.state(self._view.session)
        engine, queues = state["engine"], state["queues"]
        self._model.text = ", ".join(state["models"]) or "–"
        self._slots.text = f"{engine['busy']} of {engine['slots']}"
        self._queue.text = units.count(sum(queue["waiting"] for queue in queues.values()))
        self._rate.text = "–" if state["tokens_per_s"] is None else f"{state['tokens_per_s']:.1f}"
        self._away.set_visibility(not engine["available"])
        if self._engines is not None:
            parts.set_rows(self._engines, [_engine(one) for one in state["backends"]])
        parts.set_rows(self._running, [_running(n, one) for n, one in enumerate(state["running"])])
        parts.set_rows(self._waiting, [_waiting(n, one) for n, one in enumerate(state["waiting"])])

    async def _show_parts(self) -> None:
        view = self._view
        view.check(admin=True)
        status = await view.services.console.ask(commands.STATUS)
        parts.set_rows(
            self._parts,
            [
                {
                    "name": part["name"],
                    "state": part["state"],
                    "health": part["health"] or units.NONE,
                    "uptime": units.duration(part["uptime_seconds"]),
                    "memory": units.size(part["memory_bytes"]),
                    "restarts": units.count(part["restarts"]),
                }
                for part in status["processes"]
            ],
        )

    async def _show_history(self) -> None:
        view = self._view
        user = None if view.is_admin else view.username
        now = datetime.now(UTC)
        minutes = await view.services.minutes.get(
            user, lambda: view.ask(breakdowns.by_minute, since=now - _HOUR, user=user)
        )
        by_time = {minute.at: minute for minute in minutes}
        start = now.replace(second=0, microsecond=0) - _HOUR
        times = [start + timedelta(minutes=n) for n in range(1, 61)]
        ms = [at.timestamp() * 1000 for at in times]
        found = [by_time.get(at) for at in times]
        parts.set_series(
            self._requests,
            [(at, one.requests if one else 0) for at, one in zip(ms, found, strict=True)],
            [(at, one.refusals if one else 0) for at, one in zip(ms, found, strict=True)],
        )
        parts.set_series(
            self._ttft,
            [
                (at, round(one.ttft_ms / 1000, 3) if one and one.ttft_ms is not None else None)
                for at, one in zip(ms, found, strict=True)
            ],
        )


def _parts_table() -> ui.table:
    return parts.table(
        [
            parts.column("name", "Part"),
            parts.column("state", "State"),
            parts.column("health", "Health"),
            parts.column("uptime", "Runs for", number=True),
            parts.column("memory", "Memory", number=True),
            parts.column("restarts", "Restarts", number=True),
        ],
        key="name",
        empty="Nothing runs under ./console.sh start.",
    )


def _engine(one: dict[str, Any]) -> dict[str, Any]:
    of_others = f" of {one['slots']}" if one["slots_here"] != one["slots"] else ""
    return {
        "url": one["url"],
        "state": one["state"],
        "model": one["model"] or units.NONE,
        "running": one["running"],
        "slots": f"{one['slots_here']}{of_others}",
    }


def _running(number: int, one: dict[str, Any]) -> dict[str, Any]:
    progress = one.get("progress") or {}
    length, read = progress.get("prompt_length"), progress.get("prompt_tokens", 0)
    tokens = progress.get("completion_tokens", one.get("completion_tokens"))
    return {
        "row": one.get("id") or f"someone-{number}",
        "user": one["user"],
        "since": one.get("since"),
        "path": one.get("path") or units.NONE,
        "engine": urlsplit(one.get("backend") or "").netloc or units.NONE,
        "state": "batch" if one.get("batch") else one["state"],
        "read": read / length if length else None,
        "prompt": f"{units.share(read, length)} of {units.compact(length)}" if length else units.NONE,
        "tokens": units.count(tokens),
        "first": units.duration(one.get("first_byte_s")),
        "age": units.duration(one["age_s"]),
    }


def _waiting(number: int, one: dict[str, Any]) -> dict[str, Any]:
    return {
        "row": one.get("id") or f"someone-{number}",
        "place": one["place"],
        "user": one["user"],
        "since": one.get("since"),
        "age": units.duration(one["age_s"]),
        "estimate": units.duration(one["estimated_wait_s"]),
    }


def build(view: View) -> None:
    """Fill the page."""
    NowPage(view)


PAGE = Page(path="/", title="Now", icon="bolt", build=build)
