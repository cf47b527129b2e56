"""Decides which model is served, and remembers the one that was served last.

The order: `--model`, LLAMA_SERVER_MODEL, the model served last, the only one in models/. If there are
several, the user is asked on a terminal; otherwise ModelError lists them. The starter model that comes
with the appliance (`models/starter/`) is used only if there is no other, and is replaced by the first
other model that is added. Models that embed or rerank are served if they are named, or if there is no
other.

Reads only the headers of files and never loads the engine, so it is fast enough for each start. The
console writes the name of the model served last (`Config.data_dir / "model"`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from runtime.config import Config
from runtime.models.model_file import (
    CompanionError,
    Model,
    ModelError,
    find_models,
    inspect,
    read_model,
)

__all__ = [
    "HOW_TO_CHOOSE",
    "HOW_TO_GET_ONE",
    "STARTER",
    "CompanionError",
    "Model",
    "ModelError",
    "find_models",
    "inspect",
    "is_starter",
    "last_used",
    "read_model",
    "replaced_id",
    "resolve",
    "select",
]

STARTER = "models/starter/llamaserve-starter.gguf"
"""The small model that comes with the appliance, within the checkout."""

HOW_TO_GET_ONE = """\
Put a GGUF file there, for example:
  ./console.sh pull
downloads a small one that suits this machine; ./console.sh help pull explains how to get others"""

HOW_TO_CHOOSE = "Choose with --model FILE, or set LLAMA_SERVER_MODEL=FILE in runtime/config.env"


def resolve(config: Config, name: str) -> Path:
    """The file that a user names: a path, or a name in models/, with or without `.gguf`.

    If there is no such file, returns the path that it would have in models/, for the error message.
    """
    named = Path(name).expanduser()
    places = [config.root / "models" / named, config.root / named]
    for place in places:
        for path in (place, place.with_name(f"{place.name}.gguf")):
            if path.is_file():
                return Path(os.path.abspath(path))  # not resolve(): the name of a link is the model's id
    return places[0]


def last_used(config: Config) -> Path | None:
    """The model served last; None if there is none or its file no longer exists."""
    try:
        path = Path((config.data_dir / "model").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return path if path.is_absolute() and path.is_file() else None


def replaced_id(config: Config) -> str:
    """The API name of the model that is being replaced; empty if none is."""
    try:
        return Path((config.data_dir / "model.before").read_text(encoding="utf-8").strip()).name
    except (OSError, UnicodeDecodeError):
        return ""


def is_starter(config: Config, path: Path) -> bool:
    """True for the small model that comes with the appliance."""
    return config.root / "models" / "starter" in path.parents


def select(
    config: Config,
    requested: str = "",
    *,
    last_used_first: bool = False,
    ask: Callable[[list[str]], int] | None = None,
) -> Model:
    """The model to serve, in the order described above.

    Args:
        config: the configuration, with LLAMA_SERVER_MODEL and the directories.
        requested: the user's `--model`; empty if there is none.
        last_used_first: the model served last takes precedence over LLAMA_SERVER_MODEL. For a server
            that is restarted by its supervisor: it serves the model that it was started with.
        ask: shows the names and returns the index of the chosen one; None without a terminal.

    Raises:
        ModelError: there is no model, or the user has to choose one.
    """
    last = last_used(config)
    if requested:
        return read_model(resolve(config, requested))
    if last is not None and last_used_first:
        return read_model(last)
    if name := config.text("LLAMA_SERVER_MODEL"):
        return read_model(resolve(config, name))
    if last is not None and not (is_starter(config, last) and _others_were_added(config)):
        return read_model(last)
    return _only_one(config, ask)


def _others_were_added(config: Config) -> bool:
    """True if another model was added to models/ since the starter model was remembered."""
    remembered_at = (config.data_dir / "model").stat().st_mtime
    models, _ = find_models(config.root / "models")
    # ctime: moving a file into the directory changes it, however old the content is.
    return any(
        model.path.stat().st_ctime > remembered_at
        for model in models
        if not is_starter(config, model.path) and model.pooling is None
    )


def _only_one(config: Config, ask: Callable[[list[str]], int] | None) -> Model:
    folder = config.root / "models"
    models, problems = find_models(folder)
    generating = [model for model in models if model.pooling is None]
    models = (
        [model for model in generating if not is_starter(config, model.path)] or generating or models
    )
    if len(models) == 1:
        return models[0]
    names = [str(model.path.relative_to(folder)) for model in models]
    if not models:
        found = "".join(f"\n  {line}" for line in problems)
        text = f"no model to serve in {folder}{':' if found else ''}{found}"
        raise ModelError(text, HOW_TO_GET_ONE)
    if ask is not None:
        return models[ask(names)]
    raise ModelError("\n  ".join(["there are several models:", *names]), HOW_TO_CHOOSE)
