"""What pages use, made once at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

from proxy.dashboard.access.sessions import Sessions
from proxy.dashboard.console.jobs import Jobs
from proxy.dashboard.console.runner import Console
from proxy.dashboard.data.api_requests import ApiRequests, Models
from proxy.dashboard.data.breakdowns import Minute
from proxy.dashboard.data.cached import Cached
from proxy.dashboard.data.database import Database
from proxy.dashboard.data.live import LiveState
from proxy.dashboard.settings import DashboardSettings
from proxy.identity.authentication.authenticator import Authenticator


@dataclass(frozen=True, kw_only=True)
class Services:
    """Shared by all pages."""

    settings: DashboardSettings
    sessions: Sessions
    authenticator: Authenticator
    database: Database
    live: LiveState
    minutes: Cached[list[Minute]]
    """The last hour of all users (None), or of one by name."""
    batches: Cached[list[dict[str, Any]]]
    """The newest batches of all users (None), or of one by name."""
    http: aiohttp.ClientSession
    """For requests to the proxy. It uses no proxy of the environment, and verifies no certificate."""
    api: ApiRequests
    models: Models
    console: Console
    jobs: Jobs
