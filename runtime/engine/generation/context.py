"""One llama.cpp context with a sequence of tokens for each slot. For the scheduler's thread only.

Short calls keep the interpreter's lock (PyDLL): giving it up and taking it back beside a busy thread
would cost more than the call. Decoding and copies of states let others run meanwhile (CDLL).
"""

from __future__ import annotations

import ctypes

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from runtime.engine.generation.batch import Batch

Logits = NDArray[np.single]
ABORTED = 2
"""What `decode` returns when the abort switch was set: all logits are gone."""


def _short(name: str, result: object, *arguments: object) -> ctypes._FuncPointer:
    function = getattr(ctypes.PyDLL(llama_cpp.llama_cpp._lib._name), name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_logits_ith = _short("llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
_sample = _short(
    "llama_sampler_sample", ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
)


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

    def decode(self, batch: Batch) -> int:
        """Evaluate a batch; 0, or llama.cpp's code of what went wrong."""
        return int(llama_cpp.llama_decode(self.pointer, batch.struct))

    def logits(self, row: int) -> Logits:
        """The logits of a batch's token, of shape (vocabulary,): llama.cpp's own memory."""
        address = _logits_ith(self.pointer, row)
        if not address:
            raise RuntimeError("llama.cpp has no logits for a token that asked for them")
        return np.ctypeslib.as_array((ctypes.c_float * self.n_vocab).from_address(address))

    def sample(self, chain: int, row: int) -> int:
        """A token by a chain of samplers, which also accepts it."""
        return int(_sample(chain, self.pointer, row))

    def trim(self, sequence: int, length: int) -> bool:
        """Drop all but the first `length` tokens; on False the sequence is empty."""
        if length == 0:
            self.clear(sequence)
            return True
        kept = llama_cpp.llama_memory_seq_pos_min(self._memory, sequence) == 0 or not self.can_trim
        if kept and llama_cpp.llama_memory_seq_rm(self._memory, sequence, length, -1):
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


def _pointer(array: NDArray[np.uint8]) -> object:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
