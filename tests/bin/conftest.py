"""The user command line as a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from runtime.config import KEYS

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "bin" / "user_management_cli.py"
MINUTE = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"


def sealed_environment(**values: str) -> dict[str, str]:
    """This process's environment with every configuration key at its default but for those given.

    An empty value keeps what a developer's own .env and config.env say from being seen.
    """
    others = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA", "POSTGRES_", "PG"))}
    others.pop("PYTHON", None)  # with which bin/ may be told to make its environment
    return {**others, **dict.fromkeys(KEYS, ""), **values}


@dataclass
class Cli:
    """Runs the command line from a directory that is not the checkout."""

    directory: Path
    environment: dict[str, str] = field(repr=False)
    command: tuple[str | Path, ...] = (sys.executable, PROGRAM)

    def run(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        """Run one command, whatever comes of it."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            cwd=self.directory,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,  # the first command of some makes an environment
        )

    def __call__(self, *arguments: str) -> str:
        """What a command that succeeds prints, with nothing on stderr."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The same with --json."""
        return json.loads(self(*arguments, "--json"))

    def error(self, *arguments: str, code: int = 1) -> str:
        """What a command that fails says: with nothing on stdout, and no trace."""
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def cli(directory: Path, database_url: str) -> Cli:
    """The command line on a database with the schema in place."""
    return Cli(directory, sealed_environment(LLAMA_SERVER_DATABASE_URL=database_url))


def create(cli: Cli, username: str, *options: str) -> str:
    """Make a user; the key, as a script would take it."""
    return cli("create-user", "--username", username, "--quiet", *options).strip()


def shape(text: str) -> str:
    """The text with keys, ids of keys and times replaced by their names."""
    text = re.sub(r"lsk_[0-9A-Za-z]{50}\b", "KEY", text)
    return re.sub(MINUTE, "TIME", re.sub(r"lsk_[0-9A-Za-z]{12}\b", "lsk_ID", text))
