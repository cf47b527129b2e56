"""A real proxy and dashboard as processes, in front of a real engine, with users made beforehand."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from proxy.dashboard.access.guard import COOKIE
from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import admin_key, keys, users
from tests.support.engine import API_KEY
from tests.support.process import DashboardProcess, ProxyProcess
from tests.support.wait import until, wait_until

USERS = ("alice", "bob")


@dataclass
class Stack:
    """What runs, and the keys of its users. `admin` has the key of LLAMA_ADMIN_KEY."""

    url: str
    proxy_url: str
    database_url: str
    dashboard: DashboardProcess
    root: Path
    keys: dict[str, str] = field(default_factory=dict)

    async def chat(self, username: str, text: str = "Hello", **fields: Any) -> dict[str, Any]:
        """Send a chat request through the proxy; the response's JSON, `status` and `request_id`."""
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 8, **fields}
        headers = {"Authorization": f"Bearer {self.keys[username]}"}
        async with (
            aiohttp.ClientSession() as client,
            client.post(self.proxy_url + "/v1/chat/completions", json=body, headers=headers) as got,
        ):
            found: dict[str, Any] = await got.json()
            return {**found, "status": got.status, "request_id": got.headers["x-request-id"]}

    async def recorded(self, answer: Mapping[str, Any]) -> None:
        """Wait until the record of a request that `chat` sent is in the database."""
        number = str(answer["request_id"]).removeprefix("req_")

        def is_recorded() -> bool:
            with connect(self.database_url, application="tests") as connection:
                statement = "SELECT FROM llama_requests WHERE id = %s::uuid"
                return connection.execute(statement, [number]).fetchone() is not None

        await until(is_recorded, "the record of a request")

    def new_user(self, username: str, **fields: Any) -> str:
        """Make a user and return the key."""
        with connect(self.database_url, application="tests") as connection:
            self.keys[username] = users.create_user(connection, username=username, **fields).key
        return self.keys[username]


@contextmanager
def running_stack(
    engine_url: str,
    database_url: str,
    directory: Path,
    *,
    prefix: Sequence[str] = (),
    **settings: str,
) -> Iterator[Stack]:
    """A proxy and a dashboard for as long as the context lasts. `settings`: of both, by their names."""
    administrator = keys.create_key().key
    with connect(database_url, application="tests") as connection:
        schema.migrate(connection)
        admin_key.register(connection, administrator)
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": engine_url,
        "LLAMA_SERVER_API_KEY": API_KEY,
        "LLAMA_ADMIN_KEY": administrator,
        "LLAMA_PROXY_RATE_LIMIT": "1000",
        **settings,
    }
    proxy = ProxyProcess(directory, prefix=prefix, **configuration)
    configuration["LLAMA_PROXY_PORT"] = str(proxy.port)
    dashboard = DashboardProcess(directory, prefix=prefix, **configuration)
    stack = Stack(
        url=dashboard.url,
        proxy_url=proxy.url,
        database_url=database_url,
        dashboard=dashboard,
        root=directory,
        keys={"admin": administrator},
    )
    for username in USERS:
        stack.new_user(username)
    processes = [one.start() for one in (proxy, dashboard)]
    try:
        wait_until(proxy.answers, "the proxy to answer")
        wait_until(dashboard.answers, "the dashboard to answer")
        yield stack
    finally:
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait(timeout=20)


def page_id_of(text: str) -> str:
    """NiceGUI's id of a page, from its HTML."""
    found = re.search(r"'client_id': '([0-9a-f-]{36})'", text)
    assert found is not None
    return found[1]


class Browser:
    """What a browser does of HTTP, without one: keeps its cookie, names its origin, follows nothing."""

    def __init__(self, url: str, *, address: str = "127.0.0.1") -> None:
        """`address` is the browser's own."""
        self.url = url
        self.cookie = ""
        connector = aiohttp.TCPConnector(local_addr=(address, 0))
        self._client = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    def _headers(self, headers: dict[str, str]) -> dict[str, str]:
        cookie = {"Cookie": f"{COOKIE}={self.cookie}"} if self.cookie else {}
        return {"Origin": self.url, **cookie, **headers}

    async def get(self, path: str, **headers: str) -> tuple[int, str, Any]:
        """Status, text and headers of a page."""
        async with self._client.get(
            self.url + path, headers=self._headers(headers), allow_redirects=False
        ) as got:
            return got.status, await got.text(), got.headers

    async def post(self, path: str, form: dict[str, str], **headers: str) -> tuple[int, str, Any]:
        """Status, text and headers of the response to a form."""
        async with self._client.post(
            self.url + path, data=form, headers=self._headers(headers), allow_redirects=False
        ) as got:
            return got.status, await got.text(), got.headers

    async def log_in(self, key: str) -> None:
        """Exchange the key for a session."""
        status, text, headers = await self.post("/login", {"key": key})
        assert status == 303, text
        self.cookie = headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    def socket(self, page_id: str, **headers: str) -> Any:
        """A page's socket: a context with aiohttp's WebSocket."""
        page = f"client_id={page_id}&implicit_handshake=true&tab_id=t&document_id=d"
        query = f"EIO=4&transport=websocket&{page}"
        return self._client.ws_connect(
            f"{self.url}/_nicegui_ws/socket.io/?{query}", headers=self._headers(headers)
        )
