"""One projector: llama.cpp's mtmd, which makes embeddings of images for the model beside it.

Imports llama_cpp.mtmd_cpp, which fails where the library was built without it: import it late.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp

from runtime.engine.generation.pictures import Embeddings
from runtime.engine.images import ProjectorError, UnreadableError
from runtime.engine.images.decoding import Bitmap

_MARK = mtmd_cpp.mtmd_default_marker()


class Chunk:
    """An image, or a part of one, ready to be encoded: mtmd's own, freed with this object."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        self.n_tokens = int(mtmd_cpp.mtmd_input_chunk_get_n_tokens(pointer))

    def __del__(self) -> None:
        mtmd_cpp.mtmd_input_chunk_free(self.pointer)


class Projector:
    """A loaded projector.

    Args:
        path: its file.
        model: llama.cpp's pointer to the model beside it.
        n_threads: with which it encodes.
        uses_gpu: whether it may be on the GPU.
        set_log: called with the function that sets the log's receiver.

    Raises:
        ValueError: it cannot be loaded, or does not fit the model; llama.cpp's log says why.
        ProjectorError: it needs what this server lacks.
    """

    def __init__(
        self,
        path: Path,
        model: object,
        *,
        n_threads: int,
        uses_gpu: bool,
        set_log: Callable[[Callable[..., Any]], object],
    ) -> None:
        set_log(mtmd_cpp.mtmd_helper_log_set)
        params = mtmd_cpp.mtmd_context_params_default()
        params.n_threads = n_threads
        params.use_gpu = uses_gpu
        params.print_timings = False
        context = mtmd_cpp.mtmd_init_from_file(str(path).encode(), model, params)
        if not context:
            raise ValueError("llama.cpp could not load the projector")
        self._context = context
        self._width = int(llama_cpp.llama_model_n_embd_inp(model))
        if not mtmd_cpp.mtmd_support_vision(context):
            raise ProjectorError("it reads no images")
        if mtmd_cpp.mtmd_decode_use_mrope(context):
            raise ProjectorError(
                "its model counts an image's positions in several dimensions (M-RoPE), which this "
                "server cannot do"
            )
        self.is_whole = bool(mtmd_cpp.mtmd_decode_use_non_causal(context, None))
        """Whether the model reads each picture in one piece, without causal attention."""

    def read(self, bitmap: Bitmap) -> list[Chunk | list[int]]:
        """What stands for an image in a prompt: chunks to be encoded, and tokens. Thread-safe.

        Raises:
            UnreadableError: the projector does not take it.
        """
        with _bitmap(bitmap) as pointer, _chunks() as chunks:
            text = mtmd_cpp.mtmd_input_text(_MARK, len(_MARK), False, True)
            bitmaps = (ctypes.c_void_p * 1)(pointer)
            code = mtmd_cpp.mtmd_tokenize(self._context, chunks, ctypes.byref(text), bitmaps, 1)
            if code != 0:
                raise UnreadableError
            return list(map(_taken, _listed(chunks)))

    def encode(self, chunk: Chunk) -> Embeddings:
        """The embeddings of a chunk, of shape (tokens, width). For one thread at a time; takes seconds.

        Raises:
            UnreadableError: it cannot be encoded.
        """
        if mtmd_cpp.mtmd_encode_chunk(self._context, chunk.pointer) != 0:
            raise UnreadableError
        address = mtmd_cpp.mtmd_get_output_embd(self._context)
        rows: Embeddings = np.ctypeslib.as_array(address, shape=(chunk.n_tokens, self._width)).copy()
        if not np.isfinite(rows).all():
            raise UnreadableError
        return rows


def _listed(chunks: object) -> list[int]:
    number = int(mtmd_cpp.mtmd_input_chunks_size(chunks))
    return [mtmd_cpp.mtmd_input_chunks_get(chunks, index) for index in range(number)]


def _taken(chunk: int) -> Chunk | list[int]:
    if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
        number = ctypes.c_size_t()
        tokens = mtmd_cpp.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(number))
        return [int(tokens[index]) for index in range(number.value)]
    return Chunk(mtmd_cpp.mtmd_input_chunk_copy(chunk))


@contextmanager
def _bitmap(bitmap: Bitmap) -> Iterator[int]:
    kind = ctypes.POINTER(ctypes.c_uint8)
    pixels = ctypes.cast(ctypes.c_char_p(bitmap.pixels), kind)
    pointer = mtmd_cpp.mtmd_bitmap_init(bitmap.width, bitmap.height, pixels)
    try:
        yield pointer
    finally:
        mtmd_cpp.mtmd_bitmap_free(pointer)


@contextmanager
def _chunks() -> Iterator[int]:
    pointer = mtmd_cpp.mtmd_input_chunks_init()
    try:
        yield pointer
    finally:
        mtmd_cpp.mtmd_input_chunks_free(pointer)
