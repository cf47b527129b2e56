"""The picture in the README: drawn from what a real terminal showed."""

from __future__ import annotations

import os
import re
from pathlib import Path
from xml.etree import ElementTree

from tests.docs import record_terminal
from tests.docs.shell_session import Piece, ShellSession
from tests.docs.terminal_svg import LONGEST_PAUSE_S, Line, draw, lines_of, shorten_pauses

TEXT = "{http://www.w3.org/2000/svg}text"


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)  # noqa: S314 - it is our own


def shown(lines: list[Line]) -> list[str]:
    return ["".join(span.text for span in line) for line in lines]


def test_the_picture_shows_the_session_of_the_script() -> None:
    """docs/terminal.svg has every command that the script types: it is no older than that."""
    picture = parsed(record_terminal.PICTURE.read_text())
    text = "\n".join("".join(line.itertext()) for line in picture.iter(TEXT))
    typed = (record_terminal.START, record_terminal.CREATE_USER, *record_terminal.CURL)
    for command in (*typed, record_terminal.CHAT, *record_terminal.QUESTIONS, record_terminal.USAGE):
        assert command in text


def test_a_session_notes_what_was_typed_and_what_came(tmp_path: Path) -> None:
    """Typed text and output are told apart, in order, with rising times."""
    with ShellSession(tmp_path, env=os.environ, columns=80) as session:
        session.type_text("echo a-b | tr a-b c-d")
        session.press("\n")
    typed = "".join(piece.text for piece in session.pieces if piece.typed)
    output = "".join(piece.text for piece in session.pieces if not piece.typed)
    assert typed == "echo a-b | tr a-b c-d"
    assert re.fullmatch(r"\$ \nc-d\n\$ ", output)
    times = [piece.at_s for piece in session.pieces]
    assert times == sorted(times)


def test_lines_wrap_and_progress_is_written_over() -> None:
    """A line is as long as the terminal is wide; after a carriage return it begins anew."""
    pieces = [Piece(0, "abcdef\n10%", False), Piece(1, "\r100%", False), Piece(2, " ok\n", False)]
    assert shown(lines_of(pieces, columns=4)) == ["abcd", "ef", "100%", " ok"]


def test_long_pauses_are_shortened() -> None:
    """No piece comes later after the one before it than the longest pause."""
    pieces = [Piece(1, "a", False), Piece(100, "b", False), Piece(100.5, "c", False)]
    times = [piece.at_s for piece in shorten_pauses(pieces)]
    assert times == [1, 1 + LONGEST_PAUSE_S, 1.5 + LONGEST_PAUSE_S]
    progress = [Piece(second, f"\r{second} s", False) for second in range(60)]
    pieces = [*progress, Piece(60, " done\r\n", False), Piece(61, "$ ", False)]
    assert [piece.at_s for piece in shorten_pauses(pieces)][-2:] == [
        LONGEST_PAUSE_S,
        1 + LONGEST_PAUSE_S,
    ]


def test_markup_in_the_output_stays_text() -> None:
    """What the terminal showed cannot become a part of the SVG's structure."""
    lines = lines_of([Piece(0, '</text><script x="&">', True)], columns=80)
    picture = parsed(draw(lines, columns=80, caption='a < "b"'))
    assert [child.tag for child in picture.iter(TEXT)] == [TEXT, TEXT]
    assert "".join([*picture.iter(TEXT)][1].itertext()) == '</text><script x="&">'
