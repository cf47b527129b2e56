"""What is shown and fetched of a batch."""

from __future__ import annotations

import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

from .server import Failure, Server

ENDED = ("completed", "failed", "expired", "cancelled")
POLL_S = 2.0
PATIENCE_S = 300.0
"""How long a server that does not answer is asked again."""


def wait(server: Server, batch_id: str, output: Path) -> int:
    """Show a batch's progress until it has ended, and fetch its results."""
    failing_since: float | None = None
    began = time.monotonic()
    while True:
        try:
            batch = server.call("GET", f"/batches/{urllib.parse.quote(batch_id)}")
            failing_since = None
        except Failure as failure:
            failing_since = failing_since or time.monotonic()
            if not failure.passing or time.monotonic() - failing_since > PATIENCE_S:
                raise
            time.sleep(POLL_S)
            continue
        _show(batch, time.monotonic() - began)
        if batch["status"] in ENDED:
            break
        time.sleep(POLL_S)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    fetch(server, batch, output)
    return 0 if batch["status"] == "completed" else 1


def _show(batch: dict[str, Any], waited_s: float) -> None:
    """Draw the progress bar; without a terminal, nothing until the end."""
    counts = batch["request_counts"]
    total, done = counts["total"], counts["completed"] + counts["failed"]
    text = batch["waiting"] or batch["status"]
    if sys.stderr.isatty():
        width = 30
        filled = width * done // total if total else 0
        left = ""
        if (
            batch["status"] == "in_progress"
            and done
            and (passed_s := time.time() - batch["in_progress_at"]) > 0
        ):
            left = f", about {_duration(passed_s / done * (total - done))} left"
        bar = "#" * filled + "." * (width - filled)
        print(f"\r\033[K[{bar}] {done}/{total} {text}{left}", end="", file=sys.stderr, flush=True)
    elif batch["status"] in ENDED:
        print(f"{done}/{total} {text} after {_duration(waited_s)}", file=sys.stderr)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def fetch(server: Server, batch: dict[str, Any], output: Path) -> None:
    """Write results, and errors if there are any, to files beside each other."""
    for problem in (batch["errors"] or {}).get("data", []):
        where = f"line {problem['line']}: " if problem["line"] else ""
        print(f"{where}{problem['message']}", file=sys.stderr)
    errors = output.with_suffix(".errors" + output.suffix)
    for file_id, path in ((batch["output_file_id"], output), (batch["error_file_id"], errors)):
        if file_id is not None:
            part = path.with_name(path.name + ".part")
            try:
                with part.open("wb") as file:
                    server.download(file_id, file)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            print(path)


def show(batch: dict[str, Any]) -> None:
    """A line about a batch."""
    counts = batch["request_counts"]
    name = (batch["metadata"] or {}).get("file", "")
    done = f"{counts['completed'] + counts['failed']}/{counts['total']}"
    created = time.strftime("%Y-%m-%d %H:%M", time.localtime(batch["created_at"]))
    print(f"{batch['id']}  {created}  {batch['status']:<11}  {done:>13}  {name}".rstrip())
