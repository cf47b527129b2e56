"""Pieces that several pages are made of: panels, tiles, tables, charts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nicegui import ui

AXIS, LINE = "#8a94a3", "rgba(128,128,128,.18)"
COLOURS = ("#3f8f79", "#d39b3a", "#6c7fb8", "#b3564c")

TIME_CELL = '<q-td :props="props"><local-time :datetime="props.value"></local-time></q-td>'
"""The cell of a column whose values are ISO times."""


@contextmanager
def panel(title: str = "") -> Iterator[ui.column]:
    """A framed part of a page."""
    with ui.column().classes("panel") as column:
        if title:
            ui.label(title).classes("heading")
        yield column


def tile(label: str) -> ui.label:
    """A number with its meaning below; returns the number's label."""
    with ui.column().classes("tile"):
        value = ui.label("–").classes("value")
        ui.label(label).classes("label")
    return value


def column(
    name: str, label: str, *, number: bool = False, sortable: bool = False, **more: object
) -> dict[str, Any]:
    """A column of `table`. Numbers stand to the right, with commas between thousands."""
    if number:
        more = {":format": "v => typeof v === 'number' ? v.toLocaleString('en') : v", **more}
    return {
        "name": name,
        "label": label,
        "field": name,
        "align": "right" if number else "left",
        "sortable": sortable,
        **more,
    }


def table(
    columns: Sequence[Mapping[str, Any]], *, key: str, empty: str, times: Sequence[str] = ()
) -> ui.table:
    """A table without pages of its own, for `set_rows`. Cells are text, whatever stands in them.

    `empty`: what to do when there is nothing. `times`: names of columns whose values are ISO times.
    """
    made = ui.table(columns=[dict(one) for one in columns], rows=[], row_key=key, pagination=0)
    made.props("flat hide-pagination wrap-cells dense").props(f'no-data-label="{empty}"').classes(
        "table"
    )
    for name in times:
        made.add_slot(f"body-cell-{name}", TIME_CELL)
    return unread(made)


def unread(table: ui.table) -> ui.table:
    """Let a table say that it is being read, until `set_rows` has shown its first rows."""
    return table.props('loading loading-label="Reading …"')


def set_rows(table: ui.table, rows: list[dict[str, Any]]) -> None:
    """Show these rows, if they have changed."""
    if "loading" in table.props:
        table.props(remove="loading")
    if table.rows != rows:
        table.rows = rows


def time_chart(series: Sequence[Mapping[str, Any]], *, unit: str, kind: str = "bar") -> ui.echart:
    """A chart over time in the reader's zone. Each series has a name and gets [ms, value] pairs."""
    return ui.echart(
        {
            "animation": False,
            "color": list(COLOURS),
            "grid": {"left": 44, "right": 12, "top": 30, "bottom": 24},
            "tooltip": {"trigger": "axis"},
            "legend": {"top": 0, "textStyle": {"color": AXIS}, "itemHeight": 9, "itemWidth": 14},
            "xAxis": {
                "type": "time",
                "axisLabel": {"color": AXIS, "hideOverlap": True},
                "axisLine": {"lineStyle": {"color": LINE}},
                "axisTick": {"show": False},
            },
            "yAxis": {
                "type": "value",
                "name": unit,
                "nameTextStyle": {"color": AXIS, "align": "right"},
                "minInterval": 1 if kind == "bar" else 0,
                "axisLabel": {"color": AXIS},
                "splitLine": {"lineStyle": {"color": LINE}},
            },
            "series": [
                {"type": kind, "showSymbol": False, "barMaxWidth": 28, "data": [], **one}
                for one in series
            ],
        }
    ).classes("chart")


def set_series(chart: ui.echart, *values: Sequence[Sequence[float | None]]) -> None:
    """Show these values, one list for each series, if they have changed."""
    series = chart.options["series"]
    if [one["data"] for one in series] != [list(one) for one in values]:
        for one, data in zip(series, values, strict=True):
            one["data"] = list(data)
        chart.update()
