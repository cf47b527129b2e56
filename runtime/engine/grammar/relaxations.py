"""Remembers what was left of sources that do not compile, so that none is relaxed twice."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from runtime.engine.grammar.compiler import Source

MAX_CHARACTERS = 4_194_304
"""Of all sources that are remembered."""
_MAX_SOURCES = 1024


class Relaxations:
    """For sources that do not compile, those to take in their place. Thread-safe; forgets the oldest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[bytes, Source] = OrderedDict()
        self._n_characters = 0

    @property
    def n_characters(self) -> int:
        """Of all sources that are remembered."""
        return self._n_characters

    def get(self, source: Source) -> Source | None:
        """What to take in place of a source, if that is known."""
        with self._lock:
            return self._made.get(_digest(source)) if self._made else None

    def put(self, source: Source, made: Source) -> None:
        """Remember what to take in place of a source."""
        if made == source:  # nothing was left out
            return
        key = _digest(source)
        with self._lock:
            old = self._made.pop(key, None)
            self._n_characters += len(made.text) - (len(old.text) if old else 0)
            self._made[key] = made
            while self._n_characters > MAX_CHARACTERS or len(self._made) > _MAX_SOURCES:
                _, oldest = self._made.popitem(last=False)
                self._n_characters -= len(oldest.text)


def _digest(source: Source) -> bytes:
    """Stands for a source, whose text may be long."""
    text = source.text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=32, person=b"\1" if source.is_converted else b"").digest()
