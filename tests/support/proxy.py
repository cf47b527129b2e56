"""The real proxy in the test's own event loop, on a free port, in front of whatever is given."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from proxy.app import App
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry
from proxy.server import ProxyServer
from proxy.settings import ProxySettings
from tests.support.wait import until


@dataclass
class RunningProxy:
    """A proxy under test and a client for it."""

    url: str
    settings: ProxySettings
    client: aiohttp.ClientSession
    app: App
    connections: ConnectionRegistry

    def request(self, method: str, path: str, *, key: str | None = None, **arguments: Any) -> Any:
        """An HTTP request with a bearer key, as `client.request` gives it."""
        headers = dict(arguments.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return self.client.request(method, self.url + path, headers=headers, **arguments)

    def chat(self, key: str, **fields: Any) -> Any:
        """A chat completion request."""
        body = {"messages": [{"role": "user", "content": "Hello"}], **fields}
        return self.request("POST", "/v1/chat/completions", key=key, json=body)

    def under_way(self) -> int:
        """How many requests run or wait."""
        return len(self.app.running)

    def waiting(self) -> int:
        """How many requests wait for a turn at the engine."""
        return self.app.turns.waiting()

    def at_engine(self) -> int:
        """How many requests have a turn at the engine."""
        return self.app.turns.running()

    async def rows(self, count: int) -> list[dict[str, Any]]:
        """The rows of llama_requests in order of arrival, once there are `count` of them."""
        rows: list[dict[str, Any]] = await until(
            lambda: self._rows(count), f"{count} rows in llama_requests"
        )
        return rows

    def _rows(self, count: int) -> list[dict[str, Any]] | None:
        with psycopg.connect(self.settings.database_url) as connection:
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            rows = cursor.execute("SELECT * FROM llama_requests ORDER BY created_at, id").fetchall()
        assert len(rows) <= count, rows
        return rows if len(rows) == count else None


def settings_for(
    *, database_url: str, backend_url: str, directory: Path, **changes: Any
) -> ProxySettings:
    """Settings with the defaults of a real proxy, the given ones changed."""
    settings = ProxySettings(
        host="127.0.0.1",
        port=0,
        backend_url=backend_url,
        backend_key="engine-key",
        database_url=database_url,
        spool_dir=directory / "spool",
        files_dir=directory / "files",
        spool_bytes=2**30,
        spool_sync_s=1.0,
        auth_failures_per_minute=30,
        trusted_proxies=(),
        rate_limit=60,
        rate_window_s=60.0,
        token_limit=None,
        shared=False,
        max_concurrent=None,
        queue_size=256,
        user_queue_size=64,
        queue_timeout_s=120.0,
        queue_grace_s=15.0,
        max_body_bytes=2**20,
        body_memory_bytes=2**28,
        max_connections=2048,
        connect_timeout_s=5.0,
        idle_timeout_s=60.0,
        stall_timeout_s=60.0,
        drain_s=5.0,
    )
    return replace(settings, **changes)


@asynccontextmanager
async def running_proxy(
    settings: ProxySettings, limits: EdgeLimits | None = None, *, send_buffer: int | None = None
) -> AsyncIterator[RunningProxy]:
    """A proxy on a free port for as long as the context lasts.

    `send_buffer` is what the kernel holds of an answer, in bytes; megabytes if it is left to it.
    """
    listener = socket.create_server((settings.host, 0))
    if send_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    async with ProxyServer(settings, listener, limits=limits) as server:
        url = f"http://{settings.host}:{server.address[1]}"
        async with aiohttp.ClientSession() as client:
            yield RunningProxy(url, settings, client, server.app, server.connections)
