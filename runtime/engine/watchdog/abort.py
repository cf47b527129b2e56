"""A switch that makes a running `llama_decode` return at once.

llama.cpp asks an abort callback before each node of its graph, some 250 times a token. A callback in
Python would need the interpreter's lock as often, which beside one busy thread makes a token four times
as slow. So the callback is C's own `strlen` on a buffer of ours: 0 goes on, 1 aborts. Backends on a GPU
do not ask; there a generation ends between two batches.
"""

from __future__ import annotations

import ctypes

import llama_cpp


class AbortSwitch:
    """The switch of one llama context, for as long as that lives. Setting it needs no lock."""

    def __init__(self, context: object) -> None:
        self._text = ctypes.create_string_buffer(2)
        strlen = ctypes.CDLL(None).strlen
        self._callback = ctypes.cast(strlen, llama_cpp.ggml_abort_callback)
        llama_cpp.llama_set_abort_callback(
            context, self._callback, ctypes.cast(self._text, ctypes.c_void_p)
        )

    def set(self, abort: bool) -> None:
        """Abort what is being decoded now, and whatever is decoded until it is set back."""
        self._text[0] = b"\x01" if abort else b"\x00"
