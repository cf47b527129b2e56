"""An administrator of the proxy under test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.database.pool import connect
from proxy.identity import users


@pytest.fixture
def admin_key(create_user: Callable[..., str], database_url: str) -> str:
    """The key of the administrator root."""
    key = create_user("root", rate_limit=10**6)
    with connect(database_url, application="tests") as connection:
        users.set_admin(connection, "root", admin=True)
    return key
