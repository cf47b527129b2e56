"""What is known of one backend: whether it may be used, and how many requests it gets at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from proxy.scheduling.engine_watch import EngineWatch
from proxy.settings import BackendSettings

logger = logging.getLogger(__name__)

SLOTS_UNKNOWN = 1
"""Requests at a time if the engine does not report slots and none are set."""
CHEAP_AT_A_TIME = 16
"""Requests at an engine that generate nothing, such as tokenizing."""
MODELS_AT_A_TIME = 16
"""Requests for lists of models at a time. The lists are not cached: a cached copy would have to be
dropped at each change of model, and the engine answers such a request from memory."""


class BackendState:
    """One backend. `watch.run` must be running as a task."""

    drained = False
    """Whether it gets no new requests, for maintenance."""
    other_model = False
    """Whether it serves another model than the others; `common` is theirs."""
    common: str | None = None
    leased: int | None = None
    """How many of its slots this proxy has; None: all, there are no other proxies."""
    proxies = 1
    """How many proxies use it."""

    def __init__(
        self,
        settings: BackendSettings,
        index: int,
        *,
        max_concurrent: int | None,
        among_others: bool,
        on_change: Callable[[], None],
        on_read: Callable[[], None],
        on_silent: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self.url = settings.url
        self.index = index
        """Its place in `ProxySettings.all_backends`."""
        self._slots_set = settings.slots or max_concurrent
        self.watch = EngineWatch(
            settings,
            among_others=among_others,
            on_change=on_change,
            on_read=on_read,
            on_silent=on_silent,
            clock=clock,
        )

    @property
    def usable(self) -> bool:
        """Whether it gets new requests."""
        return self.watch.available and not self.drained and not self.other_model

    @property
    def total_slots(self) -> int:
        """Requests that generate that it takes at a time, of all proxies."""
        return self._slots_set or self.watch.status.slots or SLOTS_UNKNOWN

    @property
    def generating(self) -> int:
        """How many requests that generate it gets at a time."""
        if not self.usable:
            return 0
        return self.total_slots if self.leased is None else min(self.leased, self.total_slots)

    @property
    def embedding(self) -> int:
        """How many requests for embeddings it gets beside those; 0 without a model for them alone."""
        slots = self.watch.status.embedding_slots
        return max(slots // self.proxies, 1) if slots and self.usable else 0

    def note_model(self, common: str | None) -> None:
        """Compare its model with what all have to serve, and say so if it is another."""
        self.common = common
        other = self.watch.model is not None and self.watch.model != common
        if other != self.other_model:
            self.other_model = other
            what = "is not used: it serves" if other else "is used again: it serves"
            logger.warning("the engine %s %s %s, others %s", self.url, what, self.watch.model, common)

    @property
    def problem(self) -> str | None:
        """Why it is away or not used; None if it is ready or drained."""
        if not self.watch.available:
            return self.watch.problem
        return f"others serve {self.common}" if self.other_model and not self.drained else None

    @property
    def state(self) -> str:
        """In one word: ready, drained, "other model" or away."""
        if not self.watch.available:
            return "away"
        return "drained" if self.drained else "other model" if self.other_model else "ready"


def common_model(models: Iterable[str | None], before: str | None) -> str | None:
    """The model that backends have to serve to be used; `models` are those of backends that are there.

    It is the same as before as long as one of them serves it, so that a fleet changes its model when the
    last backend has changed; else that of the first in the configuration. None: no backend tells.
    """
    known = [model for model in models if model is not None]
    return before if before in known else next(iter(known), before)
