"""Batches: how far they are and how fast, what they wait for, their results. A user's own, or all."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from proxy.batches import overview
from proxy.dashboard.data import errors
from proxy.dashboard.layout import parts, units
from proxy.dashboard.layout.dialogs import confirmed
from proxy.dashboard.layout.page import Page, View

REFRESH_S = 2.0
ROWS = 50
"""The newest ones; "Older ones" shows as many more, up to MAX_ROWS."""
MAX_ROWS = 500
_ID = re.compile(r"batch_[0-9a-f]{1,64}")
_WHOLE_FILE = "The file is checked when the user's earlier batches have ended."

_BATCH_CELL = """
<q-td :props="props"><span class="mono">{{ props.row.id }}</span><div class="soft">
  {{ props.row.about }} · <local-time :datetime="props.row.created"></local-time></div></q-td>
"""
_STATE_CELL = """
<q-td :props="props" style="min-width: 180px">
  <span class="tag" :data-state="props.row.mark">{{ props.value }}</span>
  <div :class="props.row.mark === 'problem' ? 'problem' : 'soft'">{{ props.row.why }}</div></q-td>
"""
_LINES_CELL = """
<q-td :props="props"><div class="read"><q-linear-progress :value="props.row.done" rounded size="6px"
  :aria-label="props.value" /><span>{{ props.value }}</span></div>
  <div class="soft">{{ props.row.pace }}</div>
  <div class="problem" v-if="props.row.failed">{{ props.row.failed }}</div></q-td>
"""
_RESULTS_CELL = """
<q-td :props="props"><div v-for="file in props.row.files"><a :href="'/downloads/' + file.id" download>
  {{ file.name }}</a></div><q-btn v-if="props.row.runs" flat dense no-caps size="sm" label="Cancel"
  :aria-label="'Cancel ' + props.row.id" @click="() => $parent.$emit('cancel', props.row.id)" /></q-td>
"""


class BatchesPage:
    """The page's parts, and how they are refreshed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._limit = ROWS
        with parts.panel():
            self._table = self._batches_table()
            self._more = ui.button("Older ones", on_click=view.action(self._show_more))
            self._more.props("flat no-caps").set_visibility(False)
        view.every(REFRESH_S, self._show)

    def _batches_table(self) -> ui.table:
        columns = [
            parts.column("id", "Batch"),
            parts.column("user", "User"),
            parts.column("state", "State"),
            parts.column("lines", "Lines"),
            parts.column("deadline", "Deadline"),
            parts.column("files", "Results"),
        ]
        if not self._view.is_admin:
            del columns[1]
        table = parts.table(
            columns, key="id", times=["deadline"],
            empty="No batches. bin/batch.sh submit FILE makes one; see docs/batch.md.",
        )  # fmt: skip
        table.classes("stacks")
        for name, cell in (
            ("id", _BATCH_CELL),
            ("state", _STATE_CELL),
            ("lines", _LINES_CELL),
            ("files", _RESULTS_CELL),
        ):
            table.add_slot(f"body-cell-{name}", cell)
        table.on("cancel", self._view.action(self._ask_to_cancel))
        return table

    async def _show(self) -> None:
        view, limit = self._view, self._limit
        user = None if view.is_admin else view.username
        found = await view.services.batches.get(
            (user, limit),
            lambda: view.ask(overview.batches, user=user, after=None, limit=limit + 1),
        )
        if limit != self._limit:  # more have been asked for meanwhile
            return
        self._more.set_visibility(len(found) > limit and limit < MAX_ROWS)
        rows = [_row(batch, is_own=batch["username"] == view.username) for batch in found[:limit]]
        parts.set_rows(self._table, rows)

    async def _show_more(self) -> None:
        self._limit = min(MAX_ROWS, self._limit + ROWS)
        await self._show()

    async def _ask_to_cancel(self, event: GenericEventArguments) -> None:
        """Cancel a batch, of another user only for an administrator.

        Raises:
            DashboardError: it has ended, or is another user's.
        """
        view, batch_id = self._view, str(event.args)
        if not _ID.fullmatch(batch_id):
            raise errors.batch_ended()
        question = f"Cancel {batch_id}? Lines that have run keep their results; the others do not run."
        if not await confirmed(question, "Cancel the batch", no="Let it run"):
            return
        user = None if view.is_admin else view.username
        if not await view.ask(overview.cancel, batch_id, user=user):
            raise errors.batch_ended()


def _row(batch: dict[str, Any], *, is_own: bool) -> dict[str, Any]:
    counts, status = batch["request_counts"], batch["status"]
    done = counts["completed"] + counts["failed"]
    files = (("answers", batch["output_file_id"]), ("errors", batch["error_file_id"]))
    name = (batch["metadata"] or {}).get("file", "")
    return {
        "id": batch["id"],
        "user": batch["username"],
        "about": f"{name}, {batch['endpoint']}" if name else batch["endpoint"],
        "created": _iso(batch["created_at"]),
        "state": status.replace("_", " "),
        "mark": {"failed": "problem", "expired": "problem", "cancelling": "warning"}.get(status, ""),
        "why": _why(batch),
        "lines": f"{done:,} of {counts['total']:,}",
        "done": done / counts["total"] if counts["total"] else 0,
        "failed": f"{counts['failed']:,} failed" if counts["failed"] else "",
        "pace": _pace(batch),
        "deadline": _iso(batch["expires_at"]),
        "files": [{"name": name, "id": file_id} for name, file_id in files if file_id and is_own],
        "runs": status in ("validating", "in_progress"),
    }


def _pace(batch: dict[str, Any]) -> str:
    """How fast it is, and how long it still takes."""
    if batch["lines_per_minute"] is None:
        return ""
    left = units.duration(batch["estimated_seconds_left"])
    return f"{batch['lines_per_minute']:,.1f} a minute, {left} left"


def _why(batch: dict[str, Any]) -> str:
    """Why it waits, or has failed."""
    if batch["errors"] is not None:
        first, *others = batch["errors"]["data"]
        line = f"line {first['line']}: " if first["line"] else ""
        return f"{line}{first['message']}" + (f" (and {len(others)} more)" if others else "")
    return _WHOLE_FILE if batch["status"] == "validating" else batch["waiting"] or ""


def _iso(seconds: int) -> str:
    return units.iso(datetime.fromtimestamp(seconds, UTC))


def build(view: View) -> None:
    """Fill the page."""
    BatchesPage(view)


PAGE = Page(path="/batches", title="Batches", icon="playlist_play", build=build)
