"""What the scripts of programs have in common. Imports the standard library only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

MADE = "made.txt"
"""The file that the model makes when it is offered a tool that runs commands."""


def run(*command: str, folder: Path, env: dict[str, str] | None = None, timeout_s: int = 180) -> str:
    """Run a program and return its output.

    Raises:
        AssertionError: it failed; with its last output.
    """
    home = folder / "home"
    home.mkdir(exist_ok=True)
    # As after a shell's cd: opencode takes its project's directory from PWD.
    ours = {"HOME": str(home), "PWD": str(folder), "NO_COLOR": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **ours, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout[-1500:]}"
    return done.stdout


def new_folder() -> Path:
    """An empty directory for one run."""
    return Path(tempfile.mkdtemp(prefix="llamaserve-client-"))


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def written(path: Path, configuration: object) -> str:
    """Write a configuration as JSON, which YAML contains; the path as text."""
    path.write_text(json.dumps(configuration))
    return str(path)
