"""Accepting connections, within the bounds of `registry.py`.

asyncio's own server counts a connection only when its TLS handshake is done, and cannot refuse one. This
one is made of asyncio's public parts (`loop.connect_accepted_socket`).
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable

from proxy import errors
from proxy.edge.checks import written_out
from proxy.edge.limits import EdgeLimits
from proxy.edge.registry import ConnectionRegistry, RegisteredConnection

logger = logging.getLogger(__name__)

AT_ONCE = 64
"""The most connections that are accepted in one turn of the event loop."""
PAUSE_S = 0.1
"""The pause after a failure of the machine, such as no descriptors or no memory left."""
RETRY_S = 2.0
KEPT_DESCRIPTORS = 128
"""Kept free for the database, the spool, the logs and whatever a library opens."""
MOST_DESCRIPTORS = 65_536


class _Handshake:
    """A TLS handshake under way."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def leave(self) -> None:
        """End it."""
        self._task.cancel()


class Acceptor:
    """Accepts connections on one listening socket.

    Args:
        listener: is made non-blocking, and has to be closed by the caller.
        protocol: makes the protocol of a connection.
        context: gives the TLS context for a new connection; None: no TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        connections: ConnectionRegistry,
        protocol: Callable[[RegisteredConnection], asyncio.BufferedProtocol],
        *,
        context: Callable[[], ssl.SSLContext] | None,
        limits: EdgeLimits,
    ) -> None:
        listener.setblocking(False)
        # Inherited by what is accepted: a peer that vanished without a word is noticed some day.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._listener = listener
        self._connections = connections
        self._protocol = protocol
        self._context = context
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        """One for each connection that is not made yet: with TLS, handshakes."""
        self._resumption: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Accept connections from now on."""
        self._resumption = None
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        """Accept no more connections. Those that have been accepted go on."""
        self._loop.remove_reader(self._listener.fileno())
        if self._resumption is not None:
            self._resumption.cancel()

    def end_handshakes(self) -> None:
        """Close the connections whose TLS handshake is still under way."""
        for task in list(self._tasks):
            task.cancel()

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("cannot accept connections: %s", error.strerror)
                self.stop()
                self._resumption = self._loop.call_later(PAUSE_S, self.start)
                return
            connection.setblocking(False)
            entry = self._connections.enter(str(address[0]))
            if entry is None:
                self._refuse(connection)
                continue
            task = self._loop.create_task(self._connect(connection, entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if self._context is not None:
                self._connections.is_made(entry, _Handshake(task))

    def _refuse(self, connection: socket.socket) -> None:
        error = errors.too_many_connections(RETRY_S)
        self._connections.refused[error.error] += 1
        with connection:
            if self._context is None:
                try:
                    connection.send(written_out(error))
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(65_536)  # with unread input, closing could lose the response
                except OSError:
                    pass

    async def _connect(self, connection: socket.socket, entry: RegisteredConnection) -> None:
        context = None if self._context is None else self._context()
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(entry),
                connection,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._limits.handshake_s,
            )
        except OSError as error:  # TLS errors and time-outs are OSErrors too; the client's concern
            logger.debug("a connection was not made: %s", type(error).__name__)
            self._connections.exit(entry)
            connection.close()
        except BaseException:
            self._connections.exit(entry)
            connection.close()
            raise


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may. Returns how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):  # macOS has a lower bound of its own
        return soft
    return most


def connection_limit(wanted: int, descriptors: int) -> int:
    """How many connections there may be: `wanted`, or what the descriptors allow.

    Each connection may need a second descriptor for its connection to the engine.
    """
    possible = max(1, (descriptors - KEPT_DESCRIPTORS) // 2)
    if possible < wanted:
        logger.warning(
            "only %d connections instead of LLAMA_PROXY_MAX_CONNECTIONS=%d are possible with %d open "
            "files: raise the limit (ulimit -n) to %d",
            possible,
            wanted,
            descriptors,
            2 * wanted + KEPT_DESCRIPTORS,
        )
    return min(wanted, possible)
