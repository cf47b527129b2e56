"""Logs are followed line by line, across rotations, and never beyond a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.dashboard.console.logs import FIRST_BYTES, MAX_BYTES, Place, read


def test_what_is_added_is_read_once(tmp_path: Path) -> None:
    """Whole lines only: the rest comes when it is written."""
    log = tmp_path / "proxy.log"
    log.write_text("one\ntwo\nthr")
    lines, place = read(tmp_path, "proxy")
    assert lines == ["one", "two"]
    assert read(tmp_path, "proxy", place) == ([], place)
    with log.open("a") as file:
        file.write("ee\nfour\n")
    lines, place = read(tmp_path, "proxy", place)
    assert lines == ["three", "four"]


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    """Whether it was replaced or emptied."""
    log = tmp_path / "proxy.log"
    log.write_text("one\ntwo\n")
    _, place = read(tmp_path, "proxy")
    log.rename(tmp_path / "proxy.log.1")
    log.write_text("three\nfour\nfive\n")
    lines, place = read(tmp_path, "proxy", place)
    assert lines == ["three", "four", "five"]
    log.write_text("six\n")
    assert read(tmp_path, "proxy", place)[0] == ["six"]


def test_no_look_takes_in_more_than_its_bound(tmp_path: Path) -> None:
    """Of many lines the newest are read; a line without an end is cut."""
    log = tmp_path / "proxy.log"
    log.write_text("x" * 99 + "\n")
    _, place = read(tmp_path, "proxy")
    with log.open("a") as file:
        file.writelines(f"{number:099}\n" for number in range(10_000))
    lines, _ = read(tmp_path, "proxy", place)
    assert lines[-1] == f"{9_999:099}"
    assert {len(line) for line in lines} == {99}
    assert sum(map(len, lines)) <= MAX_BYTES
    first, _ = read(tmp_path, "proxy")
    assert sum(map(len, first)) <= FIRST_BYTES
    log.write_text("y" * 3 * MAX_BYTES)
    (line,), _ = read(tmp_path, "proxy", Place(inode=log.stat().st_ino, offset=0))
    assert len(line) == MAX_BYTES


def test_other_files_are_not_logs(tmp_path: Path) -> None:
    """A part without a log yet has no lines."""
    assert read(tmp_path, "server") == ([], Place())
    for part in ("", "../config", "proxy.log", "/etc/passwd"):
        with pytest.raises(ValueError, match="none of"):
            read(tmp_path, part)
