"""A recorded terminal session as an SVG picture that plays once and stays at its end.

Where a viewer does not animate, or the reader prefers reduced motion, all of it is shown at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from tests.docs.shell_session import Piece

LONGEST_PAUSE_S = 1.5
"""Longer waits are shortened to this; the caption of the picture says so."""
GROUP_S = 0.08
"""Pieces on one line that come within this time appear together."""
_WRITTEN_OVER = re.compile(r"\r(?!\n)")
_ERASE_TO_END_OF_LINE = "\x1b[K"
FONT_PX = 14
LINE_PX = 19
CHARACTER_PX = 8.43
MARGIN_PX = 16
BAR_PX = 34

_STYLE = f"""\
text {{ font: {FONT_PX}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  fill: #c9d1d9; white-space: pre }}
.typed {{ fill: #ffffff; font-weight: 600 }}
.caption {{ fill: #8b949e; text-anchor: middle }}
tspan {{ animation: appear 10ms steps(1, end) backwards }}
@keyframes appear {{ from {{ visibility: hidden }} to {{ visibility: visible }} }}
@media (prefers-reduced-motion: reduce) {{ tspan {{ animation: none }} }}"""


@dataclass
class Span:
    """Part of a line that appears at one moment."""

    at_s: float
    text: str
    typed: bool


Line = list[Span]


def shorten_pauses(pieces: Iterable[Piece]) -> list[Piece]:
    """The same pieces, with no pause longer than `LONGEST_PAUSE_S` before any of them.

    All the time in which a line of progress is written over again counts as one pause.
    """
    shortened: list[Piece] = []
    shown_at = previous_at = 0.0
    left_s = LONGEST_PAUSE_S
    for piece in pieces:
        pause_s = min(piece.at_s - previous_at, left_s)
        shown_at += pause_s
        previous_at = piece.at_s
        left_s = left_s - pause_s if _WRITTEN_OVER.search(piece.text) else LONGEST_PAUSE_S
        shortened.append(Piece(shown_at, piece.text, piece.typed))
    return shortened


def lines_of(pieces: Iterable[Piece], *, columns: int) -> list[Line]:
    """What the terminal shows, line by line, wrapped at `columns` characters.

    Of a line that is written over again and again (progress), only the last text stays.
    """
    lines: list[Line] = [[]]
    column = 0
    for piece in pieces:
        for character in piece.text.replace(_ERASE_TO_END_OF_LINE, ""):
            if character == "\r":
                lines[-1].clear()
                column = 0
                continue
            if character == "\n" or column == columns:
                lines.append([])
                column = 0
            if character != "\n":
                _append(lines[-1], character, piece)
                column += 1
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _append(line: Line, character: str, piece: Piece) -> None:
    last = line[-1] if line else None
    if last and last.typed == piece.typed and piece.at_s - last.at_s < GROUP_S:
        last.text += character
    else:
        line.append(Span(piece.at_s, character, piece.typed))


def draw(lines: Sequence[Line], *, columns: int, caption: str) -> str:
    """The SVG document."""
    width = round(columns * CHARACTER_PX + 2 * MARGIN_PX)
    height = BAR_PX + len(lines) * LINE_PX + MARGIN_PX
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label={quoteattr(caption)}>'
    )
    dots = "".join(
        f'<circle cx="{MARGIN_PX + 6 + 20 * number}" cy="17" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    rows = [
        f'<text x="{MARGIN_PX}" y="{BAR_PX + LINE_PX * (number + 1) - 5}">{_spans(line)}</text>'
        for number, line in enumerate(lines)
        if line
    ]
    return "\n".join(
        [
            head,
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>',
            dots,
            f'<text class="caption" x="{width // 2}" y="22">{escape(caption)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _spans(line: Line) -> str:
    return "".join(
        f"<tspan{' class=' + chr(34) + 'typed' + chr(34) if span.typed else ''} "
        f'style="animation-delay:{span.at_s:.2f}s">{escape(span.text)}</tspan>'
        for span in line
    )
