"""A forwarder to PostgreSQL that can fall silent, as a network that drops packets, or break off."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

SOCKET = ".s.PGSQL.5432"


class Pipe:
    """An async context: `url` is the same database through this forwarder."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/{SOCKET}"
        self._directory = Path(tempfile.mkdtemp(prefix="pipe-"))  # short: a socket's path has a limit
        self.url = parts._replace(query=f"host={quote(str(self._directory))}").geturl()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self.cut_after: bytes | None = None
        """When the client sends this, it is passed on and the connection is closed."""
        self.cut = asyncio.Event()
        """Set when the connection was closed for that reason."""

    async def __aenter__(self) -> Pipe:
        self._server = await asyncio.start_unix_server(self._connected, self._directory / SOCKET)
        return self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        self._writers += [writer, server_writer]
        self._tasks += [
            asyncio.create_task(self._pump(reader, server_writer, writer)),
            asyncio.create_task(self._pump(server_reader, writer)),
        ]

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        client: asyncio.StreamWriter | None = None,
    ) -> None:
        """Forward bytes until the end; `client` is its writer when these are the client's bytes."""
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
            if client is not None and self.cut_after is not None and self.cut_after in data:
                self.cut_after = None
                client.transport.abort()
                self.cut.set()
                break
        writer.close()

    async def fall_silent(self) -> None:
        """Forward nothing more on the present connections; new ones work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aexit__(self, *_: object) -> None:
        await self.fall_silent()
        for writer in self._writers:
            writer.close()
        self._server.close()
        await self._server.wait_closed()
        shutil.rmtree(self._directory)
