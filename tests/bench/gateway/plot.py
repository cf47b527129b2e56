"""A bar plot of tables as SVG, which needs no library: this knows nothing but bars.

The figure of each table that is drawn is its first row. Bars are logarithmic, since what is compared
spans three orders of magnitude; the numbers beside them say it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from statistics import median

from tests.bench.gateway.targets import OURS
from tests.bench.report import Table, short

WIDTH, LEFT, RIGHT = 760, 150, 170
"""Widths of the picture, of the names and of the numbers, in pixels."""
BAR, STEP, HEAD, FOOT = 16, 22, 52, 24
OURS_COLOUR, OTHER_COLOUR, INK, PAPER = "#1f6f8b", "#a9b8bf", "#1c1c1c", "#ffffff"


def bars(tables: Mapping[str, Table], where: Mapping[str, str]) -> str:
    """The plot. Tables without samples are left out."""
    parts: list[str] = []
    y = 10.0
    for table in tables.values():
        row = next(iter(table.rows), None)
        if row is None:
            continue
        cells = {name: table.rows[row][name] for name in table.columns if name in table.rows[row]}
        parts += _panel(f"{table.title}: {row}", cells, y)
        y += HEAD + STEP * len(cells)
    for text in (f"{where['date']}, {where['machine']}", where["gateways"]):
        parts.append(_text(10, y + 14, text, size=10))
        y += FOOT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 10:.0f}" '
            f'viewBox="0 0 {WIDTH} {y + 10:.0f}" font-family="sans-serif">',
            f'<rect width="100%" height="100%" fill="{PAPER}"/>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _panel(title: str, cells: Mapping[str, list[float]], top: float) -> list[str]:
    """One table's bars, from the top on: median, and a line from the least to the greatest."""
    values = [value for samples in cells.values() for value in samples if value > 0] or [1.0]
    low = 10 ** math.floor(math.log10(min(values)) - 1e-9)
    high = max(*values, low * 10)

    def x(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    parts = [_text(10, top + 18, f"{title} (logarithmic, from {short(low)})", size=13)]
    for number, (name, samples) in enumerate(cells.items()):
        y = top + 30 + number * STEP
        middle, end = y + BAR / 2, x(median(samples))
        colour = OURS_COLOUR if name.startswith(OURS) else OTHER_COLOUR
        parts += [
            _text(LEFT - 8, y + BAR - 4, name, size=12, anchor="end"),
            f'<rect x="{LEFT}" y="{y:.1f}" width="{end - LEFT:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<path d="M{x(min(samples)):.1f} {middle:.1f}H{x(max(samples)):.1f}" stroke="{INK}"/>',
            _text(x(max(samples)) + 8, y + BAR - 4, short(median(samples)), size=12),
        ]
    return parts


def _text(x: float, y: float, text: str, *, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{INK}">'
        f"{escape(text)}</text>"
    )
