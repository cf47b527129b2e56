"""What doctor learns about the database through `proxy.admin.appliance`: do its notifications arrive?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from runtime.config import load
from runtime.doctor import database
from runtime.doctor.findings import Finding, Installation
from tests.support.pooler import PROGRAM, Pooler


def findings(url: str, directory: Path) -> list[Finding]:
    """What doctor finds out about the database at this URL."""
    config = load(directory, {"LLAMA_SERVER_DATABASE_URL": url})
    return list(database.state(Installation(root=directory, config=config, venv=Path(sys.prefix))))


def test_notifications_arrive_on_a_direct_connection(database_url: str, directory: Path) -> None:
    """Doctor has nothing to say about them then."""
    assert [found.level for found in findings(database_url, directory)] == ["ok"] * 3


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
def test_a_pooler_that_loses_notifications_is_a_warning(database_url: str, directory: Path) -> None:
    """In transaction mode LISTEN has no effect: doctor says what that costs and what to configure."""
    with Pooler(database_url) as pooler:
        found = findings(pooler.url, directory)
    assert [one.level for one in found] == ["ok", "ok", "ok", "warning"]
    assert "notifications do not arrive" in found[-1].text
    assert "LLAMA_SERVER_DATABASE_URL" in found[-1].remedy
    password = conninfo_to_dict(database_url)["password"]
    assert password
    assert str(password) not in found[-1].text + found[-1].remedy
