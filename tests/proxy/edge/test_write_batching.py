"""What is gathered in a turn of the event loop: its order, and that nobody's failure is another's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from proxy.edge.write_batching import WriteBatcher


class Peer:
    """Someone who has something to write; notes when it is told to."""

    def __init__(self, name: str, happened: list[str]) -> None:
        self._name = name
        self._happened = happened

    def send_out(self) -> None:
        """As Writer has it."""
        self._happened.append(self._name)


class Records:
    """Records that call `written` when they are to be written."""

    def __init__(self, written: Callable[[], None]) -> None:
        self.write_out = written

    def write_at_end_of_turn(self, schedule: Callable[[], None]) -> None:
        """As the batcher's Records has it."""
        self.note = schedule


async def test_records_come_first_and_once_a_turn() -> None:
    """Whoever has written is told in order; what is written next is another turn's."""
    happened: list[str] = []
    records = Records(lambda: happened.append("records"))
    writes = WriteBatcher(records)
    writes.add(Peer("one", happened))
    writes.add(Peer("two", happened))
    records.note()
    assert happened == []
    await asyncio.sleep(0)
    assert happened == ["records", "one", "two"]
    records.note()
    await asyncio.sleep(0)
    assert happened[3:] == ["records"]


class Broken:
    """One whose writing fails."""

    def send_out(self) -> None:
        """As Writer has it."""
        raise RuntimeError("broken")


async def test_a_writer_that_fails_is_nobody_else_s_matter(caplog: pytest.LogCaptureFixture) -> None:
    """Those after it write; the log tells of it."""
    happened: list[str] = []
    writes = WriteBatcher()
    writes.add(Broken())
    writes.add(Peer("two", happened))
    await asyncio.sleep(0)
    assert happened == ["two"]
    assert "RuntimeError: broken" in caplog.text


async def test_records_that_fail_keep_nobody_s_answer_back(caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of it; and the next turn is as ever."""
    happened: list[str] = []

    def fail() -> None:
        raise RuntimeError("out of order")

    writes = WriteBatcher(Records(fail))
    for turn in (1, 2):
        writes.add(Peer(f"turn {turn}", happened))
        await asyncio.sleep(0)
    assert happened == ["turn 1", "turn 2"]
    assert caplog.text.count("RuntimeError: out of order") == 2
    assert {entry.levelno for entry in caplog.records} == {logging.ERROR}
