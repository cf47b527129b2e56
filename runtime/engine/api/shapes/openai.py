"""What OpenAI's completions and chat completions have in common."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from runtime.engine.api.shapes.shape import Form, Object
from runtime.engine.api.usage import openai_usage
from runtime.engine.generation.generation import Generation


def head(prefix: str, form: Form) -> Object:
    """The fields with which a response and each chunk begin."""
    return {
        "id": prefix + uuid.uuid4().hex,
        "created": int(time.time()),
        "model": form.model,
        "system_fingerprint": form.fingerprint,
    }


def usage_field(form: Form) -> Object:
    """Chunks have the field, null but in the last, when the request asked for usage."""
    return {"usage": None} if form.include_usage else {}


def usage_chunk(head: Object, form: Form, generations: Sequence[Generation]) -> list[Object]:
    """The chunk that tells the usage, if the request asked for it."""
    if not form.include_usage:
        return []
    return [{**head, "choices": [], "usage": openai_usage(generations)}]


def readable(piece: bytes) -> str:
    """A token that is part of a character is not text: like OpenAI, show its bytes."""
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)
