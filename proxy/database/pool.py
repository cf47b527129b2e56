"""Connections to the database, one or pooled, and a time limit for what is asked of them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import AsyncConnection, Connection

CONNECT_TIMEOUT_S = 5
PREPARE_THRESHOLD: int | None = None
"""psycopg's `prepare_threshold`: never prepare statements on the server.

A pooler in transaction mode sends each transaction to any of its connections, where the statement is
missing, or is another client's.
"""


def connect(url: str, *, application: str) -> Connection:
    """Open a connection in autocommit mode.

    Raises:
        psycopg.OperationalError: the database cannot be reached or refuses the login. Its text may
            name host and user, never the password.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=application,
        prepare_threshold=PREPARE_THRESHOLD,
    )


@contextmanager
def deadline(connection: AsyncConnection, seconds: float) -> Iterator[None]:
    """Break the connection off after so long: what waits for it gets an OperationalError.

    `asyncio.timeout` will not do: psycopg answers a cancellation by asking the server to cancel the
    query, and waits up to 10 s for a server that has fallen silent.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as twin:
        timer = asyncio.get_running_loop().call_later(seconds, _break_off, twin)
        try:
            yield
        finally:
            timer.cancel()


def _break_off(connected: socket.socket) -> None:
    with suppress(OSError):  # it is broken off already
        connected.shutdown(socket.SHUT_RDWR)
