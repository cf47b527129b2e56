"""The listening socket. Connections are counted from their first moment on, TLS handshakes too.

asyncio's own server tells of a connection when its handshake is done, for which it waits a minute.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address

from proxy.addresses import Networks, client_network, is_in

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 512
MAX_PER_ADDRESS = 100
HANDSHAKE_S = 10.0
SHUTDOWN_S = 15.0
"""How long the end of a TLS connection may take, with what has not been read before."""
AT_ONCE = 64
"""The most connections that are accepted in one turn of the event loop."""
PAUSE_S = 0.1
"""The pause after a failure of the machine, such as no descriptors left."""
BACKLOG = 2048


class Listener:
    """Accepts connections, and closes those above the bounds at once.

    Args:
        protocol: makes the protocol of a connection.
        peers: the addresses of the connections that are made.
        context: gives the TLS context for a new connection; None: no TLS.
        exempt: reverse proxies, whose connections are those of many.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        *,
        peers: Callable[[], Iterable[str]],
        context: Callable[[], ssl.SSLContext] | None,
        exempt: Networks,
    ) -> None:
        listening.setblocking(False)
        # Inherited by what is accepted: a peer that vanished without a word is noticed some day.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._listening = listening
        self._protocol = protocol
        self._peers = peers
        self._context = context
        self._exempt = exempt
        self._loop = asyncio.get_running_loop()
        self._handshakes: Counter[str] = Counter()
        """By address: connections that are not made yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._start()

    def close(self) -> None:
        """Accept no more connections, and end handshakes."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """For uvicorn, which waits for its servers: nothing is left of this one."""

    def _start(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("cannot accept connections: %s", error.strerror)
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(PAUSE_S, self._start)
                return
            address = str(peer[0])
            if self._is_too_many(address):
                connection.close()
                continue
            connection.setblocking(False)
            self._handshakes[address] += 1
            task = self._loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(partial(self._made, address))

    async def _connect(self, connection: socket.socket) -> None:
        context = None if self._context is None else self._context()
        try:
            await self._loop.connect_accepted_socket(
                self._protocol,
                connection,
                ssl=context,
                ssl_handshake_timeout=None if context is None else HANDSHAKE_S,
                ssl_shutdown_timeout=None if context is None else SHUTDOWN_S,
            )
        except OSError as error:  # TLS errors and time-outs are OSErrors too; the client's concern
            logger.debug("a connection was not made: %s", type(error).__name__)
            connection.close()
        except BaseException:
            connection.close()
            raise

    def _made(self, address: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._handshakes[address] -= 1
        if not self._handshakes[address]:
            del self._handshakes[address]

    def _is_too_many(self, address: str) -> bool:
        peers = [*self._peers(), *self._handshakes.elements()]
        if len(peers) >= MAX_CONNECTIONS:
            return True
        if is_in(address, self._exempt) or _is_loopback(address):
            return False
        network = client_network(address)
        return sum(client_network(peer) == network for peer in peers) >= MAX_PER_ADDRESS


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        OSError: there is no such address, or the port is taken.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return socket.create_server((host, port), family=found[0][0], backlog=BACKLOG)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
