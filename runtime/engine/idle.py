"""Whether the engine is idle, and its change to the stand-in that holds the port without a model.

With LLAMA_SERVER_IDLE_SECONDS the engine's process becomes `runtime/engine/asleep.py` when nobody has
asked for so long: exec frees all memory of the model, and keeps the process and its listening socket.
The first request makes it the engine again, which takes over the connections that wait.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Never

VARIABLE = "LLAMASERVE_HANDOVER"
"""The environment variable with a Handover. It is removed when it is read."""
ENGINE, ASLEEP = "runtime.engine", "runtime.engine.asleep"
_STOPS = (signal.SIGTERM, signal.SIGINT)


def heed_stops(handler: Callable[[int, FrameType | None], None]) -> None:
    """Set the handler of SIGTERM and SIGINT; one that came after `become` began is handled now."""
    for number in _STOPS:
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


class Activity:
    """Counts the requests under way, and remembers when the last one ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._running = 0
        self._last = clock()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request, from its head to the end of its response."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._last = self._clock()

    def idle_s(self) -> float:
        """Seconds since the last request; 0 while one is under way."""
        return 0.0 if self._running else self._clock() - self._last


@dataclass(frozen=True, kw_only=True)
class Handover:
    """What one program leaves to the other: file descriptors, and what /health says meanwhile."""

    listener: int
    connections: tuple[int, ...] = ()
    """Accepted connections that nothing has been read from."""
    slots: int = 1
    embedding_slots: int = 0
    model: str = ""


def become(module: str, handover: Handover) -> Never:
    """Replace this process by the other program, which inherits the descriptors and calls `heed_stops`.

    Raises:
        OSError: it cannot be started.
    """
    for descriptor in (handover.listener, *handover.connections):
        os.set_inheritable(descriptor, True)
    if module == ASLEEP:
        _end_children()
    given = vars(handover) | {"connections": list(handover.connections)}
    other = ENGINE if module == ASLEEP else ASLEEP
    # They would end the process with a bad status before the other program has its handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    # The arguments contain the mark by which the console finds its processes.
    arguments = [module if one == other else one for one in sys.orig_argv]
    os.execve(sys.executable, arguments, {**os.environ, VARIABLE: json.dumps(given)})  # noqa: S606


def _end_children() -> None:
    """End and reap this process's children, which the other program would not know."""
    import psutil  # noqa: PLC0415 - the stand-in, which imports this module, has no use for it

    children = psutil.Process().children()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=5)


def taken_over(environ: MutableMapping[str, str]) -> Handover | None:
    """What the program before has left; None after a start."""
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    given = json.loads(text)
    return Handover(**given | {"connections": tuple(given["connections"])})


def socket_of(descriptor: int) -> socket.socket:
    """The socket of an inherited descriptor, not blocking, and not inherited further."""
    os.set_inheritable(descriptor, False)
    found = socket.socket(fileno=descriptor)
    found.setblocking(False)
    return found
