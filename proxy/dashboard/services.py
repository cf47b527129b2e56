"""What pages use, made once at the start."""

from __future__ import annotations

from dataclasses import dataclass

import aiohttp

from proxy.dashboard.access.sessions import Sessions
from proxy.dashboard.data.database import Database
from proxy.dashboard.data.live import LiveState
from proxy.dashboard.settings import DashboardSettings
from proxy.identity.authenticator import Authenticator


@dataclass(frozen=True, kw_only=True)
class Services:
    """Shared by all pages."""

    settings: DashboardSettings
    sessions: Sessions
    authenticator: Authenticator
    database: Database
    live: LiveState
    http: aiohttp.ClientSession
    """For requests to the proxy. It uses no proxy of the environment, and verifies no certificate."""
