"""The tokens of one step, as llama.cpp's `llama_batch` on numpy arrays of ours."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.int32]


class Batch:
    """Room for `capacity` tokens. Sequences are added in ascending order of their ids: llama.cpp
    computes sequences with consecutive ids together.
    """

    def __init__(self, capacity: int) -> None:
        self._tokens = np.zeros(capacity, dtype=np.int32)
        self._positions = np.zeros(capacity, dtype=np.int32)
        self._n_ids = np.ones(capacity, dtype=np.int32)
        self._ids = np.zeros(capacity, dtype=np.int32)
        self._id_pointers = (self._ids.ctypes.data + 4 * np.arange(capacity)).astype(np.uint64)
        self._has_logits = np.zeros(capacity, dtype=np.int8)
        self.struct: Any = llama_cpp.llama_batch()
        integer = ctypes.c_int32
        self.struct.token = _pointer(self._tokens, integer)
        self.struct.pos = _pointer(self._positions, integer)
        self.struct.n_seq_id = _pointer(self._n_ids, integer)
        self.struct.seq_id = _pointer(self._id_pointers, ctypes.POINTER(integer))
        self.struct.logits = _pointer(self._has_logits, ctypes.c_int8)
        self.clear()

    @property
    def n_tokens(self) -> int:
        return int(self.struct.n_tokens)

    @property
    def tokens(self) -> Tokens:
        """Those that are in it."""
        return self._tokens[: self.n_tokens]

    def clear(self) -> None:
        """Take all tokens out."""
        self.struct.n_tokens = 0

    def add(self, sequence: int, tokens: Tokens, *, at: int, n_logits: int) -> int:
        """Add tokens of a sequence.

        Args:
            sequence: its id.
            tokens: of shape (n,).
            at: the position of the first.
            n_logits: so many of the last ones get logits.

        Returns:
            The row of the first token that gets logits.
        """
        start, end = self.n_tokens, self.n_tokens + len(tokens)
        self._tokens[start:end] = tokens
        self._positions[start:end] = np.arange(at, at + len(tokens), dtype=np.int32)
        self._ids[start:end] = sequence
        self._has_logits[start:end] = 0
        self._has_logits[end - n_logits : end] = 1
        self.struct.n_tokens = end
        return end - n_logits


def _pointer(array: NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
