"""runtime/install.sh: what it changes, what it leaves alone, and its messages if something is missing.

Nothing is built here: the tests use an existing environment, and a fake pip.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.config import KEYS, ROOT, load
from runtime.config.env_file import parse_env
from tests.support.appliance import copy_tree

TOOLS = "bash cat cksum date dd dirname grep ln ls mkdir mv readlink rm sed sleep tail tr uname".split()


@pytest.fixture
def checkout(directory: Path) -> Path:
    """A copy of the tree that was never installed."""
    copy_tree(directory)
    return directory


def environment(**values: str) -> dict[str, str]:
    removed = {"PYTHON", *KEYS}
    return {name: value for name, value in os.environ.items() if name not in removed} | values


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
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert file.read_text() == text
    file.unlink()
    install(checkout, LLAMA_VENV_DIR=sys.prefix)
    assert load(checkout, {}).text("LLAMA_SERVER_API_KEY") not in ("", key)


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A directory for PATH that contains only basic tools: no Python, no compiler."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    return folder


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


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


# The steps that need a network or a compiler, each called by itself.


def step(script: str, directory: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell with engine_build.sh's functions, in an environment without pip."""
    venv = directory / "venv/bin"
    if not venv.exists():
        venv.mkdir(parents=True)
        program(venv, "python", 'echo "pip would say why"; exit 1')
    prelude = (
        'set -euo pipefail; cd "$1"; . runtime/shell/lib.sh; . runtime/shell/lock.sh;'
        " . runtime/shell/python.sh;"
        ' . runtime/install/engine_build.sh; VENV_DIR="$2/venv"; LOG_DIR="$2";'
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


def test_without_a_compiler_it_says_how_to_get_one(directory: Path, sealed: Path) -> None:
    """If there is no wheel of llama-cpp-python."""
    program(sealed, "apt-get", "exit 1")
    done = step("build_engine", directory, PATH=str(sealed))
    assert done.returncode == 1
    assert "no C/C++ compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr


def test_a_failed_build_shows_its_last_lines(directory: Path) -> None:
    """And the path of the whole log."""
    done = step("build_engine", directory, CC="true", CXX="true")
    assert done.returncode == 1
    assert "pip would say why" in done.stderr
    assert f"{directory}/install.log" in done.stderr


def test_a_long_build_shows_that_it_is_at_work(directory: Path) -> None:
    """Without a terminal it prints a line at the beginning, and one every twenty seconds."""
    # The build ends after the second look at it, however busy the machine is.
    clock = (
        'LOOKS=0; export GO="$2/go"; sleep() { SECONDS=$((SECONDS + 25)); LOOKS=$((LOOKS + 1));'
        ' [ "$LOOKS" -lt 2 ] || : >"$GO"; command sleep 0.05; }'
    )
    build = 'until [ -e "$GO" ]; do sleep 0.05; done; exit 3'
    done = step(f"{clock}; run_logged 'building x' bash -c '{build}'", directory)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[0] == "building x"
    assert re.fullmatch(r"building x … 0:[2-9]\d", lines[1])


def test_an_index_that_does_not_answer_is_given_up_soon(directory: Path) -> None:
    """If it refuses the connection, and if it accepts it and stays silent."""
    shutil.rmtree(directory / "venv", ignore_errors=True)
    (directory / "venv/bin").mkdir(parents=True)
    (directory / "venv/bin/python").symlink_to(sys.executable)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert step(f"WHEEL_INDEX={url}; probe cpu", directory).returncode == 2
        assert time.monotonic() - began < 30
    assert step(f"WHEEL_INDEX={url}; probe cpu", directory).returncode == 2
    assert step(f"WHEEL_INDEX={url}; install_wheel", directory).returncode == 1


@pytest.mark.parametrize(
    ("version", "compiler", "expected"),
    [
        (None, False, ["cpu"]),
        ("12.2", False, ["cu122", "cu121", "cu120", "cpu"]),
        ("12.1", True, ["cu121", "cu120"]),
        ("13.0", False, ["cu130", "cpu"]),
    ],
)
def test_the_wheel_fits_the_machine(
    directory: Path, sealed: Path, version: str | None, compiler: bool, expected: list[str]
) -> None:
    """With a GPU: CUDA wheels that are not newer than the driver, and no CPU wheel if CUDA can be
    built here."""
    (sealed / "uname").unlink()
    program(sealed, "uname", 'case "$1" in -s) echo Linux ;; *) echo x86_64 ;; esac')
    if version:
        program(sealed, "nvidia-smi", f"echo '| Driver Version: 550.1   CUDA Version: {version} |'")
    if compiler:
        program(sealed, "nvcc", "exit 0")
    done = step("wheel_flavours", directory, PATH=str(sealed))
    assert done.stdout.split() == expected


AVOIDED = "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"


@pytest.mark.parametrize(
    ("flags", "given", "expected"),
    [
        ("fpu avx512f amx_bf16 amx_tile amx_int8", "", AVOIDED),
        ("fpu avx512f", "", ""),
        ("fpu amx_tile", "-DGGML_CUDA=on", "-DGGML_CUDA=on"),
        (None, "", ""),
    ],
    ids=["AMX", "no AMX", "arguments given by the user", "no cpuinfo (macOS)"],
)
def test_a_build_leaves_out_the_amx_kernels(
    directory: Path, flags: str | None, given: str, expected: str
) -> None:
    """Only if the processor has AMX, and CMAKE_ARGS of the user stay as they are."""
    cpuinfo = directory / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    done = step('avoid_amx "$2/cpuinfo"; printf "%s" "${CMAKE_ARGS:-}"', directory, CMAKE_ARGS=given)
    assert done.returncode == 0, done.stderr
    if expected == AVOIDED:
        assert "-DGGML_NATIVE=OFF" in done.stdout
        assert done.stdout.count(AVOIDED) == 2, "C and C++"
    else:
        assert done.stdout == expected


@pytest.mark.parametrize(
    ("body", "status"),
    [("kill -ILL $$", 1), ("exit 1", 1), (f'exec {sys.executable} "$@"', 0)],
    ids=["illegal instruction", "error", "works"],
)
def test_the_proof_that_the_engine_works(directory: Path, body: str, status: int) -> None:
    """engine_works: 0 only if a prompt was really read; a process ended by a signal prints nothing."""
    (directory / "venv/bin").mkdir(parents=True)
    program(directory / "venv/bin", "python", body)
    done = step("engine_works", directory)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
