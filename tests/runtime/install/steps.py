"""Single steps of an installation: functions of runtime/install/, called from a line of shell."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runtime.config import KEYS, ROOT


def environment(**values: str) -> dict[str, str]:
    removed = {"PYTHON", *KEYS}
    return {name: value for name, value in os.environ.items() if name not in removed} | values


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def step(script: str, directory: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell with engine.sh's functions, in an environment without pip."""
    venv = directory / "venv/bin"
    if not venv.exists():
        venv.mkdir(parents=True)
        program(venv, "python", 'echo "pip would say why"; exit 1')
    prelude = (
        'set -euo pipefail; cd "$1"; . runtime/shell/lib.sh; . runtime/shell/lock.sh;'
        " . runtime/shell/python.sh;"
        ' . runtime/install/engine.sh; VENV_DIR="$2/venv"; LOG_DIR="$2";'
    )
    return subprocess.run(
        ["bash", "-c", f"{prelude} {script}", "-", ROOT, directory],
        env=environment(**values),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
