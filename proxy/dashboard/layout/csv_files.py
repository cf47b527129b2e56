"""Tables as CSV files (RFC 4180), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from nicegui import ui

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so may be a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """The rows with these fields, and their names as the first line."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for row in rows:
        writer.writerow([_cell(row.get(name)) for name in names])
    return file.getvalue()


def download(name: str, names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Send the file to the page of the present event."""
    ui.download.content(csv_text(names, rows), name, "text/csv")


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return "" if value is None else value
