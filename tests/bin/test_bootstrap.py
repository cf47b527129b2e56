"""The light environment of the user command line, made and used in a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bin.conftest import ROOT, Cli, sealed_environment

NEXT = "Next: ./bin/user_management_cli.sh init-db, then create-user --username NAME\n"


@pytest.fixture
def checkout(directory: Path) -> Path:
    """A copy of what the user command line needs, with no environment in it."""
    ignored = shutil.ignore_patterns(".venv", "data", "logs", "run", "config.env", "__pycache__")
    for name in ("bin", "proxy", "runtime"):
        shutil.copytree(ROOT / name, directory / "copy" / name, ignore=ignored)
    return directory / "copy"


def bootstrap(checkout: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    script = Cli(
        checkout.parent, sealed_environment(**values), (checkout / "bin/bootstrap_user_cli.sh",)
    )
    return script.run(*arguments)


def test_the_light_environment_is_made_once_and_works(checkout: Path, database_url: str) -> None:
    """From the lock, without the appliance; a second run finds it; the commands run in it."""
    cli = Cli(
        checkout.parent,
        sealed_environment(LLAMA_SERVER_DATABASE_URL=database_url),
        (checkout / "bin/user_management_cli.sh",),
    )
    assert cli.error("list-users") == (
        "error: there is no Python environment yet\n  ./bin/bootstrap_user_cli.sh creates one\n"
    )
    first = bootstrap(checkout)
    assert first.returncode == 0, first
    assert first.stderr.startswith("creating a Python environment (Python 3.")
    assert first.stderr.endswith(NEXT)
    made = (checkout / "bin/.venv/pyvenv.cfg").stat().st_mtime_ns
    second = bootstrap(checkout, PIP_NO_INDEX="1")
    assert (second.returncode, second.stderr) == (
        0,
        "The environment in bin/.venv is up to date.\n" + NEXT,
    )
    assert (checkout / "bin/.venv/pyvenv.cfg").stat().st_mtime_ns == made
    assert cli("create-user", "--username", "alice", "--quiet").startswith("lsk_")
    assert [user["username"] for user in cli.json("list-users")] == ["alice"]


def test_an_interrupted_run_is_done_over(checkout: Path) -> None:
    """What is not complete does not count; without the packages it fails, and says what to do."""
    (checkout / "bin/.venv/bin").mkdir(parents=True)
    (checkout / "bin/.venv/bin/python").symlink_to(sys.executable)
    done = bootstrap(checkout, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert done.stderr.startswith("creating a Python environment")
    assert "error: the packages could not be installed\n" in done.stderr
    assert not (checkout / "bin/.venv/requirements.txt").exists()


def test_the_appliance_s_environment_is_used_where_there_is_one(checkout: Path) -> None:
    """None is made then."""
    done = bootstrap(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert (done.returncode, done.stderr) == (
        0,
        "The appliance's environment has all that is needed.\n" + NEXT,
    )
    assert not (checkout / "bin/.venv").exists()


def test_an_old_python_is_told(checkout: Path, directory: Path) -> None:
    """What is needed, how to get it, how to name another."""
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (directory / name).write_text("#!/bin/sh\nexit 1\n")
        (directory / name).chmod(0o755)
    done = bootstrap(checkout, PATH=f"{directory}:/usr/bin:/bin")
    assert done.returncode == 1
    first, *remedies = done.stderr.splitlines()
    assert first == "error: no Python 3.11 or newer (with its venv module) was found"
    assert len(remedies) == 2
    assert "PYTHON=/path/to/python3" in remedies[1]


def test_a_call_that_cannot_be_understood(checkout: Path) -> None:
    """Usage, exit code 2."""
    done = bootstrap(checkout, "--help-me")
    assert done.returncode == 2
    assert done.stderr == "error: unknown arguments: --help-me\nusage: bin/bootstrap_user_cli.sh\n"
