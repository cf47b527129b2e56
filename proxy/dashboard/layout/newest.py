"""Answers that overtake each other: the one to the newest question counts."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from proxy.dashboard.data.errors import DashboardError

T = TypeVar("T")


class Newest:
    """What a part of a page asks, with filters that may change before the answer is there.

    The database is asked in several threads: a quick question may be answered before an earlier one.
    """

    def __init__(self) -> None:
        self._asked = 0

    async def answer(self, question: Awaitable[T]) -> T | None:
        """The answer, or why there is none; None if another question has been asked meanwhile."""
        self._asked += 1
        number = self._asked
        try:
            found = await question
        except DashboardError:
            if number == self._asked:
                raise
            return None
        return found if number == self._asked else None
