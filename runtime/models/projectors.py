"""The projector with which the served model reads images: LLAMA_SERVER_MMPROJ."""

from __future__ import annotations

from pathlib import Path

from runtime.config import Config
from runtime.models.model_file import CompanionError, ModelError, read_model
from runtime.models.selection import resolve

KEY = "LLAMA_SERVER_MMPROJ"


def chosen(config: Config) -> Path | None:
    """The projector's file, a name in models/ or a path; None if none is configured.

    Raises:
        ModelError: it cannot be read, or is no projector.
    """
    name = config.text(KEY)
    if not name:
        return None
    path = resolve(config, name)
    try:
        read_model(path)
    except CompanionError:
        return path
    raise ModelError(f"{path}: is a model, not the image part of one (mmproj)", f"name another in {KEY}")


def file_bytes(config: Config) -> int:
    """About the memory that the projector takes; 0 if there is none, or it cannot be read."""
    try:
        path = chosen(config)
    except ModelError:
        return 0
    return 0 if path is None else path.stat().st_size
