"""runtime/install.sh: what it changes, what it leaves alone, and its messages if something is missing.

Nothing is built here: the tests use an existing environment, and a fake pip.
"""

from __future__ import annotations

import re
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.identity.keys import public_id_of
from runtime.config import ROOT, load
from runtime.config.env_file import parse_env
from tests.runtime.install.steps import environment, program


def install(checkout: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "runtime/install.sh", *arguments],
        env=environment(**values),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def snapshot(*folders: Path) -> dict[str, int]:
    """The modification time of each file in these folders."""
    files = [path for folder in folders for path in [folder, *folder.iterdir()]]
    return {str(path): path.stat().st_mtime_ns for path in files}


def processor_seconds() -> float:
    """The processor time of all children that have ended: unlike the clock it ignores other programs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_second_run_changes_nothing_and_takes_no_time(checkout: Path) -> None:
    """It writes neither in the environment nor in the checkout, and does not start pip."""
    first = install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert first.returncode == 0, first.stderr
    folders = (Path(sys.prefix), Path(sys.prefix, "bin"), checkout / "runtime")
    before = snapshot(*folders)
    began_s = processor_seconds()
    second = install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert processor_seconds() - began_s < 1
    assert snapshot(*folders) == before


def test_it_writes_a_configuration_of_its_own(checkout: Path) -> None:
    """With a new key, readable only for its owner. An existing file is not changed."""
    file = checkout / "runtime/config.env"
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    text = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = parse_env(text, where="config.env")["LLAMA_SERVER_API_KEY"]
    assert re.fullmatch(r"[A-Za-z0-9]{43}", key)
    admin_key = parse_env(text, where="config.env")["LLAMA_ADMIN_KEY"]
    assert public_id_of(admin_key) is not None, "its checksum is right"
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert file.read_text() == text
    file.unlink()
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert load(checkout, {}).text("LLAMA_SERVER_API_KEY") not in ("", key)


def test_a_configuration_of_an_earlier_release_gets_an_administrators_key(checkout: Path) -> None:
    """What is there stays as it is; an empty value means that none is wanted."""
    file = checkout / "runtime/config.env"
    file.write_text("LLAMA_SERVER_API_KEY=abc")
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    first, second = file.read_text().splitlines()
    assert first == "LLAMA_SERVER_API_KEY=abc"
    assert second.startswith("LLAMA_ADMIN_KEY=lsk_")
    file.write_text("LLAMA_ADMIN_KEY=\n")
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert file.read_text() == "LLAMA_ADMIN_KEY=\n"


@pytest.mark.parametrize("old", [None, "exit 1"], ids=["none", "an old one"])
def test_without_a_python_it_says_how_to_get_one(checkout: Path, sealed: Path, old: str | None) -> None:
    """Without a Python that is new enough, the message has the command that installs one; no
    environment is created."""
    program(sealed, "apt-get", "exit 1")
    if old:
        program(sealed, "python3", old)
        program(sealed, "python3.12", "exit 127")
    done = install(checkout, PATH=str(sealed))
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (checkout / "runtime/.venv").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("sys.version_info = (3, 10)", "Python 3.10 is too old"),
        ('sys.modules["ensurepip"] = None', "the module venv or ensurepip is missing"),
    ],
)
def test_a_python_that_cannot_be_used_is_named_with_the_reason(
    checkout: Path, sealed: Path, change: str, why: str
) -> None:
    """Found by the search or named with PYTHON, in whose place no other one is taken."""
    changed = f'import os, sys; {change}; exec(os.environ["CODE"])'
    program(sealed, "python3", f"CODE=\"$2\" exec '{sys.executable}' -c '{changed}'")
    assert f"(python3: {why})" in install(checkout, PATH=str(sealed)).stderr
    named = install(checkout, PATH=str(sealed), PYTHON="python3")
    assert (named.returncode, named.stdout) == (1, "")
    assert f"PYTHON=python3 cannot be used: {why}" in named.stderr


def test_a_directory_that_is_no_environment_is_left_alone(checkout: Path) -> None:
    """If LLAMA_VENV_DIR names a directory with other files by mistake, nothing in it is changed."""
    (checkout / "precious").mkdir()
    (checkout / "precious/work").write_text("years of it")
    done = install(checkout, LLAMA_VENV_DIR="precious")
    assert done.returncode == 1
    assert "LLAMA_VENV_DIR" in done.stderr
    assert (checkout / "precious/work").read_text() == "years of it"


def test_wrong_arguments_are_refused() -> None:
    """With the usage and exit status 2."""
    done = install(ROOT, "--with", "everything", LLAMA_VENV_DIR=sys.prefix)
    assert done.returncode == 2
    assert "usage: runtime/install.sh" in done.stderr


def test_packages_alone_need_no_compiler(checkout: Path) -> None:
    """--packages is content with an installation that lacks only the engine; --check tells whether
    anything is missing, and changes nothing."""
    venv = checkout / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(sys.executable)
    assert install(checkout, "--check", LLAMA_VENV_DIR=str(venv)).returncode == 1
    assert not (checkout / "runtime/logs").exists()
    script = '. "$1/runtime/install.sh" --check || :; stamp packages'
    subprocess.run(
        ["bash", "-c", script, "-", checkout], env=environment(LLAMA_VENV_DIR=str(venv)), check=True
    )
    done = install(checkout, "--packages", LLAMA_VENV_DIR=str(venv))
    assert (done.returncode, done.stderr.count("installing")) == (0, 0)
    assert install(checkout, "--check", LLAMA_VENV_DIR=str(venv)).returncode == 1


def test_what_reads_images_is_missing_only_where_it_is_wanted(checkout: Path) -> None:
    """Where the environment or a file of the configuration names a projector."""
    venv = checkout / "venv"
    (venv / "bin").mkdir(parents=True)
    program(venv / "bin", "python", f'exec "{sys.executable}" "$@"')
    script = '. "$1/runtime/install.sh" --check || :; stamp "$2"'
    known = environment(LLAMA_VENV_DIR=str(venv), LLAMA_DASHBOARD_ENABLED="0")

    def stamp(part: str) -> None:
        subprocess.run(["bash", "-c", script, "-", checkout, part], env=known, check=True)

    def status(**values: str) -> int:
        return install(
            checkout, "--check", LLAMA_VENV_DIR=str(venv), LLAMA_DASHBOARD_ENABLED="0", **values
        ).returncode

    stamp("base")
    assert (status(), status(LLAMA_SERVER_MMPROJ="mmproj.gguf")) == (0, 1)
    with (checkout / "runtime/config.env").open("a") as file:
        file.write("LLAMA_SERVER_MMPROJ=mmproj.gguf\n")
    assert status() == 1
    stamp("images")
    assert status() == 0
