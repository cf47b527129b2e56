"""Who used what: sums, bars by day, percentiles, refusals; a user's own limits and what is left."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from nicegui import ui

from proxy.batches import overview
from proxy.dashboard.data import errors
from proxy.dashboard.data.usage import By, UsageFigures, read_usage
from proxy.dashboard.layout import csv_files, parts, times, units
from proxy.dashboard.layout.newest import Newest
from proxy.dashboard.layout.page import Page, View

REFRESH_S = 30.0
_DAY_MS = 86_400_000
_CSV = ("name", "requests", "refusals", "prompt_tokens", "completion_tokens", "request_bytes",
        "response_bytes", "median_ms", "p95_ms")  # fmt: skip
_KINDS = {"ttft": "First token", "queue": "In the queue", "latency": "Whole request"}


class UsagePage:
    """The page's parts, and how they are refreshed."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._newest = Newest()
        self._figures: UsageFigures | None = None
        if not view.is_admin:
            with parts.panel("Your limits"):
                self._limits = parts.table(
                    [
                        parts.column("limit", "Limit"),
                        parts.column("used", "Used", number=True),
                        parts.column("left", "Left", number=True),
                        parts.column("resets", "Whole again at"),
                    ],
                    key="limit", empty="No limit is set for you.", times=["resets"],
                )  # fmt: skip
            view.every(REFRESH_S, self._show_limits)
        self._filters()
        self._tiles()
        with parts.panel("Tokens by day (UTC)"):
            self._days = parts.time_chart(
                [{"name": "prompt", "stack": "all"}, {"name": "completion", "stack": "all"}], unit=""
            )
            self._days.options["useUTC"] = True
            self._days.options["xAxis"]["minInterval"] = _DAY_MS
        with parts.panel():
            self._table = self._sums_table()
        with ui.element("div").classes("pair"):
            with parts.panel("How long requests took"):
                self._percentiles = parts.table(
                    [
                        parts.column("what", ""),
                        parts.column("p50", "Half within", number=True),
                        parts.column("p95", "95 % within", number=True),
                    ],
                    key="what", empty="No requests in this time.",
                )  # fmt: skip
            with parts.panel("Refusals and failures by reason"):
                self._refusals = parts.table(
                    [parts.column("error", "Reason"), parts.column("count", "Requests", number=True)],
                    key="error", empty="None in this time.",
                )  # fmt: skip
        view.every(REFRESH_S, self._show)

    def _filters(self) -> None:
        view = self._view
        refresh = view.action(self._show)
        choices = {"user": "by user", "key": "by key", "group": "by group", "day": "by day"}
        if not view.is_admin:
            choices = {"day": "by day", "key": "by key"}
        with ui.element("div").classes("filters"):
            span = view.query.get("span", "")
            self._span = ui.select(
                times.span_labels(), value=span if span in times.SPANS else "7d", on_change=refresh
            )
            by = view.query.get("by", "")
            self._by = ui.select(
                choices, value=by if by in choices else next(iter(choices)), on_change=refresh
            )
            for select in (self._span, self._by):
                select.props("outlined dense options-dense")
            ui.space()
            ui.button("CSV", icon="download", on_click=view.action(self._download)).props("flat no-caps")

    def _tiles(self) -> None:
        with ui.element("div").classes("tiles"):
            self._requests = parts.tile("requests")
            self._refused = parts.tile("refused")
            self._prompt = parts.tile("prompt tokens")
            self._completion = parts.tile("completion tokens")

    def _sums_table(self) -> ui.table:
        return parts.table(
            [
                parts.column("name", "", sortable=True),
                parts.column("requests", "Requests", number=True, sortable=True),
                parts.column("refusals", "Refused", number=True, sortable=True),
                parts.column("prompt", "Prompt tokens", number=True, sortable=True),
                parts.column("completion", "Completion tokens", number=True, sortable=True),
            ],
            key="name",
            empty="No requests in this time. Choose a longer one, or see Connect.",
        ).props(':rows-per-page-options="[0]"')

    async def _show(self) -> None:
        view = self._view
        now = datetime.now(UTC)
        figures = await self._newest.answer(
            view.ask(
                read_usage,
                by=cast(By, self._by.value),
                since=times.since(self._span.value, now),
                until=now,
                user=None if view.is_admin else view.username,
            )
        )
        if figures is not None:
            self._show_figures(figures)

    def _show_figures(self, figures: UsageFigures) -> None:
        self._figures = figures
        days = figures.days
        self._requests.text = units.compact(sum(day.requests for day in days))
        self._refused.text = units.compact(sum(day.refusals for day in days))
        self._prompt.text = units.compact(sum(day.prompt_tokens for day in days))
        self._completion.text = units.compact(sum(day.completion_tokens for day in days))
        stamps = [
            datetime.fromisoformat(day.name).replace(tzinfo=UTC).timestamp() * 1000 for day in days
        ]
        parts.set_series(
            self._days,
            [(at, day.prompt_tokens) for at, day in zip(stamps, days, strict=True)],
            [(at, day.completion_tokens) for at, day in zip(stamps, days, strict=True)],
        )
        parts.set_rows(
            self._table,
            [
                {
                    "name": row.name,
                    "requests": row.requests,
                    "refusals": row.refusals,
                    "prompt": row.prompt_tokens,
                    "completion": row.completion_tokens,
                }
                for row in figures.rows
            ],
        )
        self._show_times(figures)

    def _show_times(self, figures: UsageFigures) -> None:
        found = asdict(figures.percentiles)
        parts.set_rows(
            self._percentiles,
            [
                {
                    "what": label,
                    "p50": units.milliseconds(found[f"{kind}_p50"]),
                    "p95": units.milliseconds(found[f"{kind}_p95"]),
                }
                for kind, label in _KINDS.items()
            ],
        )
        parts.set_rows(
            self._refusals,
            [{"error": error, "count": units.count(number)} for error, number in figures.refusals],
        )

    async def _show_limits(self) -> None:
        found = await self._view.services.live.limits(self._view.session)
        limits = [*found["windows"], *found["budgets"]]
        if (lines := await self._view.ask(overview.lines_a_day, self._view.username)) is not None:
            limits.append(lines)
        parts.set_rows(self._limits, [_limit(one) for one in limits])

    def _download(self) -> None:
        """The figures that are shown, as a file.

        Raises:
            DashboardError: there are none yet.
        """
        if (figures := self._figures) is None:
            raise errors.not_read_yet()
        rows = [asdict(row) for row in figures.rows]
        csv_files.download(f"usage-by-{figures.by}.csv", _CSV, rows)


def _limit(one: dict[str, Any]) -> dict[str, Any]:
    whose = "of your group " if one["of"] == "group" else ""
    span = f"a {one['period']}" if "period" in one else f"in {units.duration(one['window_seconds'])}"
    return {
        "limit": f"{units.count(one['limit'])} {one['kind']} {whose}{span}",
        "used": units.count(one["used"]),
        "left": units.count(one["remaining"]),
        "resets": one["resets_at"] or "",
    }


def build(view: View) -> None:
    """Fill the page."""
    UsagePage(view)


PAGE = Page(path="/usage", title="Usage", icon="bar_chart", build=build)
