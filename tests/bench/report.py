"""Results as text and as JSON: tables of samples, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import re
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

Samples = Sequence[float]
_ROOT = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("llama-cpp-python", "llguidance", "numpy", "uvicorn")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of samples by column, and the ratios between columns that the table is about.

    Args:
        title: what is measured, with its unit where all rows share one.
        columns: their names.
        ratios: pairs of columns; the first is divided by the second.
        rows: by label, for each column its samples, one a round. A column may be absent.
        notes: what a reader must know besides.
        turned: print a line for each column and ratio instead of for each row.
    """

    title: str
    columns: Sequence[str]
    ratios: Sequence[tuple[str, str]] = ()
    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    turned: bool = False

    def add(self, row: str, column: str, *samples: float) -> None:
        """Add samples to a cell."""
        self.rows.setdefault(row, {}).setdefault(column, []).extend(samples)

    def text(self) -> str:
        """Plain text: each cell is the median, with the least and greatest sample in brackets."""
        heads = ["", *self.columns, *(f"{a} / {b}" for a, b in self.ratios)]
        lines = [heads, *([label, *self._texts(cells)] for label, cells in self.rows.items())]
        if self.turned:
            lines = [list(line) for line in zip(*lines, strict=True)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            for line in lines
        ]
        return "\n".join([self.title, "", *aligned, "", *(f"- {note}" for note in self.notes), ""])

    def _texts(self, cells: dict[str, list[float]]) -> list[str]:
        values = [_spread(cells[name]) if name in cells else "-" for name in self.columns]
        return values + ["-" if ratio is None else short(ratio) for ratio in self._ratios(cells)]

    def _ratios(self, cells: dict[str, list[float]]) -> list[float | None]:
        return [_ratio(cells.get(a, ()), cells.get(b, ())) for a, b in self.ratios]

    def data(self) -> dict[str, Any]:
        """A dictionary for JSON, with every sample."""
        rows = [
            {
                "label": label,
                "cells": {
                    name: {"median": median(all_), "samples": all_} for name, all_ in cells.items()
                },
                "ratios": {
                    f"{a} / {b}": value
                    for (a, b), value in zip(self.ratios, self._ratios(cells), strict=True)
                },
            }
            for label, cells in self.rows.items()
        ]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def _ratio(a: Samples, b: Samples) -> float | None:
    """The median of the rounds' ratios: in a slow round both sides are slow.

    None where one of them lacks a round, or where there is nothing to divide by.
    """
    if not a or len(a) != len(b) or not all(b):
        return None
    return median(one / other for one, other in zip(a, b, strict=True))


def machine(packages: Sequence[str] = _PACKAGES) -> dict[str, str]:
    """The machine, the time, and the versions of these packages."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {platform.system()} {platform.machine()}",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
        ),
        "checkout": _checkout(),
    }


class Neighbours:
    """The share of the machine that other processes take, measured from the construction on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._others_s = self._others_so_far()

    def share(self) -> float | None:
        """From 0 to 1, once our servers have ended; None where Linux's /proc is not."""
        now = self._others_so_far()
        if now is None or self._others_s is None:
            return None
        return (now - self._others_s) / (time.monotonic() - self._began) / (os.cpu_count() or 1)

    @staticmethod
    def _others_so_far() -> float | None:
        try:
            fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        except OSError:
            return None
        user, nice, system, _, _, interrupt, soft, steal = map(int, fields)
        busy_s = (user + nice + system + interrupt + soft + steal) / os.sysconf("SC_CLK_TCK")
        used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return busy_s - sum(one.ru_utime + one.ru_stime for one in used)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown"
    found = re.search(r"^model name\s*: *(.+)$", text, re.MULTILINE)
    return found[1] if found else "unknown"


def _checkout() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _spread(samples: Samples) -> str:
    if len(samples) == 1:
        return short(samples[0])
    return f"{short(median(samples))} ({short(min(samples))}–{short(max(samples))})"


def short(value: float) -> str:
    """Format with three significant digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
