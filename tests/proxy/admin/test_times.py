"""Times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from proxy.admin import times

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("90s", 90),
        ("1.5h", 5400),
        ("30m", 1800),
        ("7d", 604_800),
        ("2w", 1_209_600),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A number and a unit; only 0 needs none."""
    assert times.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "60", "-1h", "1 h", "1h30m", "h", "1y", "1H", "1e3s", "٣d", "40000d"]
)
def test_what_is_no_duration(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="must be 0 or a time such as 90s"):
        times.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", NOW + timedelta(days=7)),
        ("2031-01-31", datetime(2031, 1, 31, tzinfo=UTC)),
        ("2031-01-31T18:00", datetime(2031, 1, 31, 18, tzinfo=UTC)),
        ("2031-01-31T18:00Z", datetime(2031, 1, 31, 18, tzinfo=UTC)),
        ("2031-01-31T18:00+02:00", datetime(2031, 1, 31, 18, tzinfo=timezone(timedelta(hours=2)))),
        ("never", None),
    ],
)
def test_moments_to_come(text: str, moment: datetime | None) -> None:
    """From now, or a date's first moment, or a time; UTC unless it says otherwise."""
    assert times.parse_future(text, now=NOW) == moment


def test_moments_past() -> None:
    """The same forms, counted back."""
    assert times.parse_past("24h", now=NOW) == NOW - timedelta(hours=24)
    assert times.parse_past("2030-05-01", now=NOW) == datetime(2030, 5, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="must be a time such as 30m"):
        times.parse_past("never", now=NOW)


@pytest.mark.parametrize("text", ["2030-06-01T12:00", "2030-06-01", "0", "0s"])
def test_an_expiry_lies_ahead(text: str) -> None:
    """This moment is too late."""
    with pytest.raises(ValueError, match="must not be over already"):
        times.parse_future(text, now=NOW)


@pytest.mark.parametrize("text", ["", "tomorrow", "2031-02-30", "0001-01-01", "9999-12-31T23:59-12:00"])
def test_what_is_no_moment(text: str) -> None:
    """Nor one that a database in another time zone could not give back."""
    with pytest.raises(ValueError, match="without an offset it is UTC"):
        times.parse_future(text, now=NOW)
