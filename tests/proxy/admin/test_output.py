"""Tables and JSON."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from proxy.admin.output import table, time_text, to_json

EVENING = datetime(2030, 6, 1, 20, 0, 59, 999_999, tzinfo=timezone(timedelta(hours=9)))


def test_a_table_lines_up() -> None:
    """Text to the left, numbers to the right, rounded; nothing is a dash; no blanks at a line's end."""
    rows = [("alice", 5, 1.6, None), ("bob", 12345, None, None)]
    assert table(["NAME", "N", "MS", "NONE"], rows).splitlines() == [
        "NAME       N  MS  NONE",
        "alice      5   2     -",
        "bob    12345   -     -",
    ]
    assert table(["NAME", "N"], []) == "NAME  N"


def test_times_are_utc() -> None:
    """Whatever zone the database gave them in."""
    assert time_text(EVENING, none="never") == "2030-06-01 11:00 UTC"
    assert time_text(None, none="never") == "never"
    assert json.loads(to_json({"at": EVENING})) == {"at": "2030-06-01T11:00:59+00:00"}


def test_what_has_no_json_form_is_a_defect() -> None:
    """It is not written as something else."""
    with pytest.raises(TypeError, match="set has no JSON form"):
        to_json({"x": set()})
