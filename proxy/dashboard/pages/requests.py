"""Records of requests: filtered, found by id, one by one. The table holds still while it is read."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from proxy.dashboard.data import breakdowns
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.layout import csv_files, parts, times, units
from proxy.dashboard.layout.dialogs import dialog
from proxy.dashboard.layout.newest import Newest
from proxy.dashboard.layout.page import Page, View
from proxy.records import reports

LOOK_EVERY_S = 3.0
ROWS = 50
"""The newest ones; "Older ones" shows as many more, up to MAX_ROWS."""
MAX_ROWS = 500
MAX_NEW = 99
CSV_ROWS = 2000
_CSV = ("id", "created_at", "username", "public_id", "method", "path", "model", "status_code", "error",
        "latency_ms", "ttft_ms", "queue_ms", "request_bytes", "response_bytes", "prompt_tokens",
        "completion_tokens", "stream", "count", "batch_id")  # fmt: skip
_STATUS_CELL = """
<q-td :props="props"><span :class="props.row.failed ? 'problem' : ''">{{ props.value }}</span></q-td>
"""
_PARTS = (("queue", "in the queue"), ("prompt", "until the first token"), ("generation", "generating"))


class RequestsPage:
    """The page's parts, and how they are filled."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._newest = Newest()
        self._rows: list[dict[str, Any]] = []
        self._found_with: dict[str, Any] | None = None
        """The filters that the rows were found with; None: nothing has been read yet."""
        self._filters()
        with parts.panel():
            self._new = ui.button(on_click=view.action(self._load)).props("outline no-caps dense")
            self._new.classes("new").set_visibility(False)
            self._table = self._requests_table()
            self._more = ui.button("Older ones", on_click=view.action(self._load_more))
            self._more.props("flat no-caps").set_visibility(False)
            self._bound = ui.label(f"{MAX_ROWS} are shown. Filters find older ones.").classes("soft")
            self._bound.set_visibility(False)
        ui.timer(0, view.action(self._begin), once=True)
        view.every(LOOK_EVERY_S, self._look)

    def _filters(self) -> None:
        view = self._view
        load = view.action(self._load)
        with ui.element("div").classes("filters"):
            self._id = ui.input(placeholder="Find an x-request-id  ( / )").props(
                "outlined dense clearable maxlength=64 data-search"
            )
            self._id.classes("wide").on("keydown.enter", view.action(self._find))
            self._span = ui.select(times.span_labels(), value="24h", on_change=load)
            self._status = _field("Status", load)
            self._error = _field("Error", load)
            self._user = _field("User", load) if view.is_admin else None
            self._span.props("outlined dense options-dense")
            ui.space()
            ui.button("CSV", icon="download", on_click=view.action(self._download)).props("flat no-caps")

    def _requests_table(self) -> ui.table:
        columns = [
            parts.column("at", "Arrived"),
            parts.column("user", "User"),
            parts.column("path", "Path"),
            parts.column("status", "Status"),
            parts.column("queue", "Queue", number=True),
            parts.column("ttft", "First token", number=True),
            parts.column("latency", "Whole", number=True),
            parts.column("tokens", "Tokens in / out", number=True),
        ]
        if not self._view.is_admin:
            del columns[1]
        table = parts.table(
            columns, key="id", empty="No requests in this time. Connect shows how to send one.",
            times=["at"],
        )  # fmt: skip
        table.add_slot("body-cell-status", _STATUS_CELL)
        table.classes("clickable")
        table.on("rowClick", self._view.action(self._open), [[], ["id"], None])
        return table

    def _wanted(self) -> dict[str, Any]:
        """What the filters say. A user's own records alone, whatever they say.

        Raises:
            DashboardError: the status is none.
        """
        wanted: dict[str, Any] = {"since": times.since(self._span.value, datetime.now(UTC))}
        if status := (self._status.value or "").strip():
            if not (status.isascii() and status.isdigit() and 100 <= int(status[:4]) <= 599):
                raise DashboardError("The status must be a number such as 429.")
            wanted["status"] = int(status)
        if error := (self._error.value or "").strip():
            wanted["error"] = error[:100]
        if not self._view.is_admin:
            wanted["user"] = self._view.username
        elif self._user is not None and (user := (self._user.value or "").strip()):
            wanted["user"] = user[:64]
        return wanted

    async def _begin(self) -> None:
        if wanted := self._view.query.get("id", ""):
            self._id.value = wanted[:64]
            await self._find()

    async def _load(self) -> None:
        wanted = self._wanted()
        asked = self._view.ask(reports.requests, limit=ROWS + 1, **wanted)
        if (found := await self._newest.answer(asked)) is not None:
            self._found_with = wanted
            self._new.set_visibility(False)
            self._show(found, [])

    async def _load_more(self) -> None:
        before = self._rows
        if self._found_with is None or not 0 < len(before) < MAX_ROWS:
            return
        found = await self._view.ask(
            reports.requests, limit=ROWS + 1, after=_uuid(before[-1]["id"]), **self._found_with
        )
        if before is self._rows:  # a second click, or other filters, may have changed them meanwhile
            self._show(found, before)

    def _show(self, found: list[dict[str, Any]], before: list[dict[str, Any]]) -> None:
        self._rows = before + found[:ROWS]
        are_more, have_room = len(found) > ROWS, len(self._rows) < MAX_ROWS
        self._more.set_visibility(are_more and have_room)
        self._bound.set_visibility(are_more and not have_room)
        parts.set_rows(self._table, [_row(one) for one in self._rows])

    async def _look(self) -> None:
        """Tell of new records without moving those that are being read; read them at first."""
        if self._found_with is None:
            await self._load()
            return
        rows, wanted = self._rows, dict(self._found_with)
        if rows:
            # A record is written at its request's end: it may stand between those that are shown.
            wanted["since"] = rows[-1]["created_at"]
        found = await self._view.ask(breakdowns.count_since, most=len(rows) + MAX_NEW + 1, **wanted)
        count = found - len(rows) if rows is self._rows else 0  # loaded anew meanwhile
        self._new.text = f"{count} new" if count <= MAX_NEW else f"more than {MAX_NEW} new"
        self._new.set_visibility(count > 0)

    async def _find(self) -> None:
        if text := (self._id.value or "").strip():
            await self._show_one(text)

    async def _open(self, event: GenericEventArguments) -> None:
        await self._show_one(str(event.args[1]["id"]))

    async def _show_one(self, request_id: str) -> None:
        """Show one record.

        Raises:
            DashboardError: there is none, or it is another user's.
        """
        found = await self._view.ask(reports.request, _uuid(request_id))
        if found is None or not (self._view.is_admin or found["username"] == self._view.username):
            raise DashboardError(
                "There is no record of this request. Records are written when a request has ended."
            )
        with self._view.client:
            _show_details(found)

    async def _download(self) -> None:
        found = await self._view.ask(reports.requests, limit=CSV_ROWS + 1, **self._wanted())
        with self._view.client:
            csv_files.download("requests.csv", _CSV, found[:CSV_ROWS])
            if len(found) > CSV_ROWS:
                text = f"The file has the newest {CSV_ROWS:,} requests. Filters find older ones."
                ui.notify(text, type="warning", position="top")


def _field(label: str, load: Any) -> ui.input:
    field = ui.input(label).props("outlined dense clearable maxlength=100 debounce=400")
    return field.classes("narrow").on_value_change(load)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text.strip().removeprefix("req_")))
    except ValueError as error:
        raise DashboardError("An x-request-id looks like req_ and 32 digits from 0 to f.") from error


def _row(one: dict[str, Any]) -> dict[str, Any]:
    status = units.NONE if one["status_code"] is None else str(one["status_code"])
    times_ = f" × {one['count']:,}" if one["count"] > 1 else ""
    tokens = f"{units.count(one['prompt_tokens'])} / {units.count(one['completion_tokens'])}"
    return {
        "id": one["id"],
        "at": units.iso(one["created_at"]),
        "user": one["username"],
        "path": one["path"],
        "status": f"{status} {one['error'] or ''}{times_}".strip(),
        "failed": one["error"] is not None,
        "queue": units.milliseconds(one["queue_ms"]),
        "ttft": units.milliseconds(one["ttft_ms"]),
        "latency": units.milliseconds(one["latency_ms"]),
        "tokens": tokens if one["prompt_tokens"] is not None else units.NONE,
    }


def _show_details(one: dict[str, Any]) -> None:
    with dialog(one["id"], f"Request {one['id']}"), ui.element("div").classes("details"):
        _bar(one)
        with ui.element("dl"):
            for label, value in (
                ("user", one["username"]),
                ("key", one["public_id"] or units.NONE),
                ("request", f"{one['method']} {one['path']}"),
                ("model", one["model"] or units.NONE),
                ("status", f"{one['status_code'] or units.NONE} {one['error'] or ''}"),
                ("prompt tokens", units.count(one["prompt_tokens"])),
                ("completion tokens", units.count(one["completion_tokens"])),
                ("bytes in and out", f"{units.size(one['request_bytes'])}, "
                                     f"{units.size(one['response_bytes'])}"),
                ("streamed", "yes" if one["stream"] else "no"),
                ("batch", one["batch_id"] or units.NONE),
            ):  # fmt: skip
                _term(label, value)
            with ui.element("dt"):
                ui.label("arrived")
            with ui.element("dd"):
                ui.element("local-time").props(f"datetime={units.iso(one['created_at'])} with-date")


def _term(label: str, value: str) -> None:
    with ui.element("dt"):
        ui.label(label)
    with ui.element("dd"):
        ui.label(value)


def _bar(one: dict[str, Any]) -> None:
    """The request's time as a bar: in the queue, until the first token, generating."""
    whole, queue = one["latency_ms"], one["queue_ms"] or 0.0
    if not whole:
        return
    first = one["ttft_ms"] if one["ttft_ms"] is not None else whole
    lengths = (min(queue, whole), max(0.0, first - queue), max(0.0, whole - first))
    with ui.element("div").classes("bar-of-times"):
        for (name, _), length in zip(_PARTS, lengths, strict=True):
            if length > 0:
                ui.element("div").classes(name).style(f"flex: {length:.3f}")
    with ui.element("div").classes("bar-legend"):
        for (name, label), length in zip(_PARTS, lengths, strict=True):
            with ui.element("span"):
                ui.element("i").classes(name)
                ui.label(f"{units.milliseconds(length)} {label}")


def build(view: View) -> None:
    """Fill the page."""
    RequestsPage(view)


PAGE = Page(path="/requests", title="Requests", icon="list_alt", build=build)
