"""`system_fingerprint`: the same seed gives the same response as long as this does not change."""

from __future__ import annotations

import hashlib
from pathlib import Path

import llama_cpp

DIGITS = 10


def fingerprint(model: Path) -> str:
    """The fingerprint of a model's file and of the library that runs it.

    The content is not read: it may be many gigabytes. The file's name, size and time tell it apart.
    """
    found = model.stat()
    parts = (model.name, found.st_size, found.st_mtime_ns, llama_cpp.__version__)
    text = "\n".join(map(str, parts)).encode("utf-8", "surrogateescape")
    return f"fp_{hashlib.blake2b(text).hexdigest()[:DIGITS]}"
