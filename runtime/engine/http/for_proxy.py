"""What proxy and engine tell each other of a request: its user, in headers, and what it used.

After the proxy has closed a connection early, it asks the engine what the request really used
(GET /internal/usage/<id>), which the `UsageBook` remembers. The dashboard asks how far requests are
(GET /internal/progress).
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence

from runtime.engine.api.usage import Counted, evaluated_usage
from runtime.engine.generation.generation import Prompt, User
from runtime.engine.http.asgi import Scope, header

USAGE_HEADER = b"x-llamaserve-usage"
REQUEST_HEADER = b"x-llamaserve-request"
_USER_HEADER = b"x-llamaserve-user"
_WEIGHT_HEADER = b"x-llamaserve-weight"
_BATCH_HEADER = b"x-llamaserve-batch"
_WEIGHTS = (0.01, 100.0)
"""The smallest and the largest."""
MAX_ENDED = 1024
MAX_ID_CHARACTERS = 128
_POLL_S = 0.005
_PATIENCE_S = 10.0
"""The longest wait for a request's end, far longer than a step; then the usage so far is reported."""

Usage = dict[str, int]


def user(scope: Scope) -> User:
    """The user that a request's headers name. The request has passed the key check before."""
    tag = header(scope, _USER_HEADER) or ""
    try:
        weight = float(header(scope, _WEIGHT_HEADER) or "1")
    except ValueError:
        weight = 1.0
    low, high = _WEIGHTS
    weight = min(max(weight, low), high) if math.isfinite(weight) else 1.0
    is_batch = header(scope, _BATCH_HEADER) == "1"
    return User(tag=tag[:MAX_ID_CHARACTERS], weight=weight, is_batch=is_batch)


class UsageBook:
    """The usage of running requests and of the last `MAX_ENDED` that have ended, by request id."""

    def __init__(self) -> None:
        self._running: dict[str, Sequence[Counted]] = {}
        self._ended: OrderedDict[str, Usage] = OrderedDict()

    def begin(self, request_id: str, generations: Sequence[Counted]) -> None:
        """Add a request. If an id is used again, it means the later request."""
        self._settle()
        self._ended.pop(request_id, None)
        self._running[request_id] = generations

    async def usage(self, request_id: str) -> Usage | None:
        """Wait until a request has ended, and return its usage; None for an unknown id."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _PATIENCE_S
        while (generations := self._running.get(request_id)) is not None:
            if _have_ended(generations) or loop.time() > until:
                return evaluated_usage(generations)
            await asyncio.sleep(_POLL_S)
        return self._ended.get(request_id)

    def progress(self) -> dict[str, Usage]:
        """How far the running requests are, by their ids.

        `prompt_length` is missing where no model generates: a prompt that is embedded is read at once.
        """
        self._settle()
        return {
            request_id: evaluated_usage(generations) | _prompt_length(generations)
            for request_id, generations in self._running.items()
        }

    def _settle(self) -> None:
        """Replace the generations of ended requests by their token counts."""
        for request_id, generations in list(self._running.items()):
            if _have_ended(generations):
                del self._running[request_id]
                self._ended[request_id] = evaluated_usage(generations)
        while len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)


def _prompt_length(generations: Sequence[Counted]) -> Usage:
    prompts = {id(one.prompt): one.prompt for one in generations if isinstance(one.prompt, Prompt)}
    return {"prompt_length": sum(len(p.tokens) for p in prompts.values())} if prompts else {}


def _have_ended(generations: Sequence[Counted]) -> bool:
    return all(generation.is_ended for generation in generations)
