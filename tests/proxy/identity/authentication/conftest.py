"""A proxy that learns of changes from the database's notifications alone."""

from __future__ import annotations

import pytest


@pytest.fixture
def notified_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reading of all keys makes up for a notification that has no effect, so a test may wait."""
    for name in ("HEARTBEAT_S", "PROOF_S"):
        monkeypatch.setattr(f"proxy.identity.authentication.change_listener.{name}", 600.0)
