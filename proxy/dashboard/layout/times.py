"""Spans of time that pages offer, and the reader's choice of one."""

from __future__ import annotations

from datetime import datetime, timedelta

SPANS: dict[str, tuple[str, timedelta]] = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
    "30d": ("last 30 days", timedelta(days=30)),
    "365d": ("last 365 days", timedelta(days=365)),
}


def span_labels() -> dict[str, str]:
    """The choices of a select, by name."""
    return {name: label for name, (label, _) in SPANS.items()}


def since(span: str, now: datetime) -> datetime:
    """When a span began; of the default one where there is none of this name."""
    _, length = SPANS.get(span, SPANS["7d"])
    return now - length
