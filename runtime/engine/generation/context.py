"""One llama.cpp context with a sequence of tokens for each slot, and the batches that it evaluates. For
the scheduler's thread only.

Short calls keep the interpreter's lock (PyDLL): giving it up and taking it back beside a busy thread
would cost more than the call. Decoding and copies of states let others run meanwhile (CDLL).
"""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.single]
Tokens = NDArray[np.int32]


def _short(name: str, result: object, *arguments: object) -> ctypes._FuncPointer:
    function = getattr(ctypes.PyDLL(llama_cpp.llama_cpp._lib._name), name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_logits_ith = _short("llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_sample = _short(
    "llama_sampler_sample", ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
)


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
        """The tokens in the batch."""
        return self._tokens[: self.n_tokens]

    def clear(self) -> None:
        """Take all tokens out."""
        self.struct.n_tokens = 0

    def add(self, sequence: int, tokens: Tokens, *, at: int, n_logits: int) -> int:
        """Add tokens of a sequence.

        Args:
            sequence: the sequence's id.
            tokens: the tokens, of shape (n,).
            at: the position of the first token in the sequence.
            n_logits: how many of the last tokens get logits.

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


class EmbeddingBatch:
    """Room for embeddings of one sequence, which stand in for tokens and get no logits."""

    def __init__(self, embeddings: NDArray[np.float32], sequence: int, *, at: int) -> None:
        # llama.cpp reads them from these arrays, which must last as long as the batch.
        self._embeddings = np.ascontiguousarray(embeddings, dtype=np.float32)
        n_tokens = len(self._embeddings)
        self._positions = np.arange(at, at + n_tokens, dtype=np.int32)
        self._n_ids = np.ones(n_tokens, dtype=np.int32)
        self._ids = np.full(n_tokens, sequence, dtype=np.int32)
        self._id_pointers = (self._ids.ctypes.data + 4 * np.arange(n_tokens)).astype(np.uint64)
        self._has_logits = np.zeros(n_tokens, dtype=np.int8)
        integer = ctypes.c_int32
        self.struct: Any = llama_cpp.llama_batch(n_tokens=n_tokens)
        self.struct.embd = _pointer(self._embeddings, ctypes.c_float)
        self.struct.pos = _pointer(self._positions, integer)
        self.struct.n_seq_id = _pointer(self._n_ids, integer)
        self.struct.seq_id = _pointer(self._id_pointers, ctypes.POINTER(integer))
        self.struct.logits = _pointer(self._has_logits, ctypes.c_int8)


class Context:
    """A context whose sequences are those of the slots.

    Args:
        context: llama.cpp's pointer.
        n_vocab: tokens of the vocabulary.
        can_trim: whether a sequence's tail can be dropped. Recurrent layers keep only their last state.
    """

    def __init__(self, context: int, *, n_vocab: int, can_trim: bool) -> None:
        self.pointer = context
        self.n_vocab = n_vocab
        self.can_trim = can_trim
        self._memory = llama_cpp.llama_get_memory(context)
        self._row = ctypes.c_float * n_vocab

    def set_threads(self, number: int) -> None:
        """Have so many threads evaluate the next batches."""
        llama_cpp.llama_set_n_threads(self.pointer, number, number)

    def decode(self, batch: Batch | EmbeddingBatch) -> int:
        """Evaluate a batch; 0, or llama.cpp's code of what went wrong."""
        return int(llama_cpp.llama_decode(self.pointer, batch.struct))

    def decode_whole(self, batch: EmbeddingBatch) -> int:
        """The same for a batch in which each position sees all others. It fits into a micro-batch."""
        llama_cpp.llama_set_causal_attn(self.pointer, False)
        try:
            return self.decode(batch)
        finally:
            llama_cpp.llama_set_causal_attn(self.pointer, True)

    def logits(self, row: int) -> Logits:
        """The logits of a batch's token, of shape (vocabulary,): llama.cpp's own memory."""
        address = _logits_ith(self.pointer, row)
        if not address:
            raise RuntimeError("llama.cpp has no logits for a token that asked for them")
        memory: Any = self._row.from_address(address)
        logits: Logits = np.frombuffer(memory, dtype=np.single)
        return logits

    def sample(self, chain: int, row: int) -> int:
        """A token by a chain of samplers, which also accepts it."""
        return int(_sample(chain, self.pointer, row))

    def trim(self, sequence: int, length: int) -> bool:
        """Drop all but the first `length` tokens; on False the sequence is empty."""
        if length == 0:
            self.clear(sequence)
            return True
        # If the context has dropped the first tokens, the others are of no use.
        is_whole = llama_cpp.llama_memory_seq_pos_min(self._memory, sequence) == 0 or not self.can_trim
        if is_whole and llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        self.clear(sequence)
        return False

    def clear(self, sequence: int) -> None:
        """Drop all tokens of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def copy(self, source: int, target: int) -> bool:
        """Replace a sequence by another's state; on False the target is empty."""
        size = self.state_size(source)
        buffer = np.empty(size, dtype=np.uint8)
        if self.save(source, buffer, size) and self.restore(target, buffer, size):
            return True
        self.clear(target)
        return False

    def state_size(self, sequence: int) -> int:
        """Bytes of a sequence's state."""
        return int(llama_cpp.llama_state_seq_get_size(self.pointer, sequence))

    def save(self, sequence: int, buffer: NDArray[np.uint8], size: int) -> bool:
        """Write a sequence's state of `size` bytes into a buffer."""
        copied = llama_cpp.llama_state_seq_get_data(self.pointer, _pointer(buffer), size, sequence)
        return int(copied) == size

    def restore(self, sequence: int, buffer: NDArray[np.uint8], size: int) -> bool:
        """Replace a sequence by a saved state; on False it is empty."""
        self.clear(sequence)
        if llama_cpp.llama_state_seq_set_data(self.pointer, _pointer(buffer), size, sequence):
            return True
        self.clear(sequence)
        return False


def _pointer(array: NDArray[Any], kind: Any = ctypes.c_uint8) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))
