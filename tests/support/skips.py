"""Skips that are expected, and the report of one that is not.

A test that is skipped tests nothing, and nobody notices. With `--no-unexpected-skips`, and in continuous
integration (CI services set the environment variable CI), a skip that `tests/expected_skips.txt` does
not list is a failure.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

EXPECTED = Path(__file__).parent.parent / "expected_skips.txt"


@dataclass(frozen=True, kw_only=True)
class ExpectedSkip:
    """A test, without parameters, and the reason it may give; `*` in either stands for any text."""

    test: str
    reason: str

    def allows(self, test: str, reason: str) -> bool:
        """Say whether this entry expects the test to be skipped for that reason."""
        return fnmatchcase(test.partition("[")[0], self.test) and fnmatchcase(reason, self.reason)


def read_expected(path: Path = EXPECTED) -> list[ExpectedSkip]:
    """Read the list: one `test | reason` a line, `#` begins a comment line.

    Raises:
        ValueError: a line has another form.
    """
    entries = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        test, bar, reason = (part.strip() for part in line.partition("|"))
        if not (test and bar and reason):
            raise ValueError(f"{path}, line {number}: expected `test | reason`, found {line!r}")
        entries.append(ExpectedSkip(test=test, reason=reason))
    return entries


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The reason that a skipped test or file gave."""
    if isinstance(report, pytest.TestReport) and hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def refuse_unexpected(
    report: pytest.TestReport | pytest.CollectReport, expected: list[ExpectedSkip]
) -> None:
    """Turn the report of an unexpected skip into that of a failure."""
    if report.outcome != "skipped":
        return
    reason = reason_of(report)
    if any(entry.allows(report.nodeid, reason) for entry in expected):
        return
    report.outcome = "failed"
    if isinstance(report, pytest.TestReport) and hasattr(report, "wasxfail"):
        del report.wasxfail
    report.longrepr = f"unexpected skip: {reason} (tests/{EXPECTED.name} lists the expected ones)"
