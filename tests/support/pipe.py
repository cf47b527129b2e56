"""A way to PostgreSQL that can fall silent, as a network does that drops packets."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

SOCKET = ".s.PGSQL.5432"


class Pipe:
    """An async context: `url` leads to the same database, by way of it."""

    def __init__(self, database_url: str) -> None:
        parts = urlsplit(database_url)
        self._target = f"{parse_qs(parts.query)['host'][0]}/{SOCKET}"
        self._directory = Path(tempfile.mkdtemp(prefix="pipe-"))  # short: a socket's path has a limit
        self.url = parts._replace(query=f"host={quote(str(self._directory))}").geturl()
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Pipe:
        self._server = await asyncio.start_unix_server(self._connected, self._directory / SOCKET)
        return self

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        self._writers += [writer, back]
        self._tasks += [
            asyncio.create_task(_pump(reader, back)),
            asyncio.create_task(_pump(there, writer)),
        ]

    async def fall_silent(self) -> None:
        """Pass nothing more on over the connections there are; new ones work."""
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


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
