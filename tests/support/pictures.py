"""Image files for tests, parts of messages that carry them, and what llama.cpp itself makes of them."""

from __future__ import annotations

import base64
import ctypes
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import pytest

from tests.support.gguf_projector import N_CTX

Image: Any = pytest.importorskip("PIL.Image")


def noise(seed: int, *, size: tuple[int, int] = (48, 48), form: str = "PNG") -> bytes:
    """A file of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return saved(Image.fromarray(pixels), form)


def saved(image: Any, form: str = "PNG") -> bytes:
    """An image as a file."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def bomb(width: int, height: int, *, n_rows: int | None = None) -> bytes:
    """A small PNG file that has so many black pixels; after `n_rows` it ends."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * width)
    rows = b"".join(packer.compress(row) for _ in range(n_rows or height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def data_url(file: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(file).decode()}"


def part(file: bytes, kind: str = "image/png") -> dict[str, Any]:
    """A part of a chat's message."""
    return {"type": "image_url", "image_url": {"url": data_url(file, kind)}}


def shown(*parts: str | bytes | dict[str, Any]) -> list[dict[str, Any]]:
    """A chat of one message: texts, image files, and parts as they are."""
    content = [
        {"type": "text", "text": one}
        if isinstance(one, str)
        else part(one)
        if isinstance(one, bytes)
        else one
        for one in parts
    ]
    return [{"role": "user", "content": content}]


class Reference:
    """A model and its projector, as llama.cpp's own helpers use them.

    Args:
        model, projector: their files.
    """

    def __init__(self, model: Path, projector: Path) -> None:
        from llama_cpp import mtmd_cpp  # noqa: PLC0415

        self._mtmd = mtmd_cpp
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = N_CTX
        self._model = llama_cpp.llama_model_load_from_file(
            str(model).encode(), llama_cpp.llama_model_default_params()
        )
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._projector = mtmd_cpp.mtmd_init_from_file(
            str(projector).encode(), self._model, mtmd_cpp.mtmd_context_params_default()
        )

    def answer(self, prompt: str, files: list[bytes], n_tokens: int) -> tuple[int, list[float]]:
        """The length of a prompt, in which marks stand for images, and how likely the likeliest tokens
        are that follow: their logarithms."""
        mtmd, n_past = self._mtmd, ctypes.c_int32()
        bitmaps = (ctypes.c_void_p * len(files))(*map(self._bitmap, files))
        chunks = mtmd.mtmd_input_chunks_init()
        content = prompt.encode()
        text = mtmd.mtmd_input_text(content, len(content), False, True)
        code = mtmd.mtmd_tokenize(self._projector, chunks, ctypes.byref(text), bitmaps, len(files))
        assert code == 0
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        code = mtmd.mtmd_helper_eval_chunks(
            self._projector, self._context, chunks, 0, 0, N_CTX, True, ctypes.byref(n_past)
        )
        assert code == 0
        found = []
        for _ in range(n_tokens):
            n_vocab = llama_cpp.llama_vocab_n_tokens(self._vocab)
            row = llama_cpp.llama_get_logits_ith(self._context, -1)
            logits = np.ctypeslib.as_array(row, shape=(n_vocab,)).astype(np.float64)
            found.append(float(logits.max() - np.log(np.exp(logits).sum())))
            token = (llama_cpp.llama_token * 1)(int(logits.argmax()))
            llama_cpp.llama_decode(self._context, llama_cpp.llama_batch_get_one(token, 1))
        mtmd.mtmd_input_chunks_free(chunks)
        return n_past.value, found

    def _bitmap(self, file: bytes) -> int:
        image = Image.open(io.BytesIO(file)).convert("RGB")
        pixels = (ctypes.c_uint8 * (3 * image.width * image.height)).from_buffer_copy(image.tobytes())
        pointer: int = self._mtmd.mtmd_bitmap_init(image.width, image.height, pixels)
        return pointer

    def mark(self) -> str:
        """What stands for an image in a prompt."""
        mark: bytes = self._mtmd.mtmd_default_marker()
        return mark.decode()
