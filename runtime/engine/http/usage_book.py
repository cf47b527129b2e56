"""What requests have used, for whoever asks when they have ended: GET /internal/usage/<id>.

The proxy asks when it has closed a connection early, and charges what has really been done.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from runtime.engine.api.usage import evaluated_usage
from runtime.engine.generation.generation import Generation

MAX_ENDED = 1024
MAX_ID_CHARACTERS = 128
_POLL_S = 0.005
_PATIENCE_S = 10.0
"""A step is far shorter; a request that still runs is told of as far as it has come."""

Usage = dict[str, int]


class UsageBook:
    """Requests by their ids: those that run, and the last `MAX_ENDED` that have ended."""

    def __init__(self) -> None:
        self._running: dict[str, Sequence[Generation]] = {}
        self._ended: OrderedDict[str, Usage] = OrderedDict()

    def begin(self, request_id: str, generations: Sequence[Generation]) -> None:
        """A request begins. An id that is used again means the later request."""
        self._settle()
        self._ended.pop(request_id, None)
        self._running[request_id] = generations

    async def usage(self, request_id: str) -> Usage | None:
        """What a request has used, once the scheduler has let go of it; None for an unknown id."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_S
        while (generations := self._running.get(request_id)) is not None:
            if _have_ended(generations) or loop.time() > until:
                return evaluated_usage(generations)
            await asyncio.sleep(_POLL_S)
        return self._ended.get(request_id)

    def _settle(self) -> None:
        """Keep only the numbers of those that have ended."""
        for request_id, generations in list(self._running.items()):
            if _have_ended(generations):
                del self._running[request_id]
                self._ended[request_id] = evaluated_usage(generations)
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)


def _have_ended(generations: Sequence[Generation]) -> bool:
    return all(generation.is_ended for generation in generations)
