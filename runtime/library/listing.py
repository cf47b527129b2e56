"""`./console.sh models [--json]`: lists the models and shows whether they fit into memory.

Reads headers only. `runtime/models/` decides what a model is, `model_fit.py` whether it fits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.library.model_fit import Room, fit, gigabytes, room
from runtime.models import selection
from runtime.models.selection import HOW_TO_GET_ONE, Model, ModelError
from runtime.plain_text import one_line
from runtime.supervisor.client import server_pid

HEADINGS = ("", "model", "size", "architecture", "parameters", "quantisation", "context", "chat", "fits")


def report(config: Config, server_pid: int) -> list[dict[str, object]]:
    """All GGUF files in models/ and the model in use, in the form of `--json`.

    `server_pid` is the pid of the running model server, 0 if there is none.
    """
    folder = config.root / "models"
    found = list(selection.inspect(folder))
    current = _current(config, running=bool(server_pid))
    if current is not None and current not in [path for path, _ in found]:
        found.append((current, _read(current)))
    memory = room(config, freed_by=server_pid)
    return [
        {
            "name": str(path.relative_to(folder) if folder in path.parents else path),
            "state": ("in use" if server_pid else "next") if path == current else "",
            **(
                _description(config, result, memory)
                if isinstance(result, Model)
                else {"problem": str(result).removeprefix(f"{path}: ")}
            ),
        }
        for path, result in found
    ]


def _current(config: Config, *, running: bool) -> Path | None:
    """The model that is served, or that the next start serves; None if the next start would ask."""
    try:
        return selection.select(config, last_used_first=running).path
    except ModelError:
        return None


def _read(path: Path) -> Model | ModelError:
    try:
        return selection.read_model(path)
    except ModelError as error:
        return error


def _description(config: Config, model: Model, memory: Room) -> dict[str, object]:
    found = fit(config, model, memory)
    return {
        "path": str(model.path),
        "title": model.title,
        "size_bytes": model.file_bytes,
        "architecture": model.architecture,
        "parameters": model.parameters,
        "quantisation": model.quantisation or None,
        "context_length": model.context_length,
        "has_chat_template": model.has_chat_template,
        "pooling": model.pooling,
        "configured_context": found.n_ctx,
        "configured_slots": found.n_slots,
        "needs_bytes": found.need.total_bytes,
        "fits": found.verdict,
    }


def _count(number: int) -> str:
    for size, unit in ((10**9, "B"), (10**6, "M")):
        if number >= size:
            return f"{number / size:.2f}{unit}"
    return f"{number / 10**3:.0f}K"


def _row(entry: dict[str, object]) -> tuple[str, ...]:
    size, needs, parameters = entry["size_bytes"], entry["needs_bytes"], entry["parameters"]
    assert isinstance(size, int)
    assert isinstance(needs, int)
    assert isinstance(parameters, int)
    return (
        {"in use": "*", "next": "+"}.get(str(entry["state"]), ""),
        one_line(str(entry["name"])),
        gigabytes(size),
        one_line(str(entry["architecture"])),
        _count(parameters),
        str(entry["quantisation"] or "-"),
        str(entry["context_length"] or "-"),
        _chats(entry),
        f"{entry['fits']} (needs {gigabytes(needs)}{_served(entry)})",
    )


def _served(entry: dict[str, object]) -> str:
    """With what a model that generates would be served."""
    if entry["pooling"] is not None:
        return ""
    slots = "1 slot" if entry["configured_slots"] == 1 else f"{entry['configured_slots']} slots"
    return f" with {slots} of {entry['configured_context']} tokens"


def _chats(entry: dict[str, object]) -> str:
    """What stands under `chat`."""
    if entry["pooling"] is not None:
        return "reranks" if entry["pooling"] == "rank" else "embeds"
    return "yes" if entry["has_chat_template"] else "no"


def text(entries: list[dict[str, object]], available: Room) -> str:
    """The report as text."""
    rows = [HEADINGS, *(_row(entry) for entry in entries if "problem" not in entry)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if rows[1:] else []
    marks = {"in use": "* in use", "next": "+ the next start serves it"}
    lines += [mark for state, mark in marks.items() if any(one["state"] == state for one in entries)]
    room_text = f"{gigabytes(available.memory)} of memory"
    if available.gpu:
        room_text += f" and {gigabytes(available.gpu)} of GPU memory"
    lines.append(f"a model may use {room_text}")
    lines += [
        one_line(f"not usable: {one['name']}: {one['problem']}") for one in entries if "problem" in one
    ]
    if not rows[1:]:
        lines += ["There is no model in models/.", HOW_TO_GET_ONE]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Print the report. Returns 0, 1 if the configuration is bad, 2 for wrong usage."""
    if arguments not in ([], ["--json"]):
        print("usage: ./console.sh models [--json]", file=sys.stderr)
        return 2
    try:
        config = load()
    except ConfigError as error:
        error.report()
        return 1
    pid = server_pid()
    entries = report(config, pid)
    if arguments:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
    else:
        print(text(entries, room(config, freed_by=pid)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
