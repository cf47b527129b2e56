"""Wheels of the engine that were built before, and what is left out of a build."""

from __future__ import annotations

import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.runtime.install.steps import environment, program, step


def store_dir(checkout: Path, **values: str) -> str:
    """The directory in which this checkout keeps its wheel."""
    script = '. "$1/runtime/shell/lib.sh"; . "$1/runtime/install/engine.sh"; store_dir || echo -'
    return subprocess.run(
        ["bash", "-c", script, "-", checkout],
        env=environment(**{"HOME": "/home/someone"} | values),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_a_second_checkout_finds_the_wheel_of_the_first(checkout: Path) -> None:
    """It is kept outside the checkout, under all that its code depends on: the version, the arguments
    and compilers of the build."""
    kept = store_dir(ROOT)
    assert kept.startswith("/home/someone/.cache/llamaserve/engine/")
    assert store_dir(checkout) == kept
    assert store_dir(checkout, CMAKE_ARGS="-DGGML_NATIVE=OFF") != kept
    assert store_dir(checkout, CXX="clang++") != kept
    assert store_dir(checkout, WITH_IMAGES="1") != kept
    (checkout / "runtime/requirements-engine.txt").write_text("llama-cpp-python==9.9\n")
    assert store_dir(checkout) != kept
    assert store_dir(ROOT, XDG_CACHE_HOME="/cache").startswith("/cache/llamaserve/")
    assert store_dir(ROOT, HOME="") == "-", "nowhere to keep it"


WHEEL = "llama_cpp_python-{}-py3-none-any.whl"
VERSION = (ROOT / "runtime/requirements-engine.txt").read_text().strip().rpartition("==")[2]
PIP = 'printf "%s\\n" "$*" >>"$PIP_CALLS"; exit "${PIP_STATUS:-0}"'


def pip_calls(
    script: str, directory: Path, **values: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a step with a Python that only notes how it is called."""
    if not (directory / "venv").exists():
        (directory / "venv/bin").mkdir(parents=True)
        program(directory / "venv/bin", "python", PIP)
    calls = directory / "calls"
    calls.write_text("")
    prelude = 'CARRIED_DIR="$2/wheels";'
    done = step(
        f"{prelude} {script}",
        directory,
        PIP_CALLS=str(calls),
        XDG_CACHE_HOME=str(directory / "cache"),
        **values,
    )
    return done, calls.read_text().splitlines()


def test_a_wheel_that_works_is_kept_and_used_again(directory: Path) -> None:
    """By the next installation on this machine, readable only for its owner."""
    wheel = directory / WHEEL.format(VERSION)
    wheel.write_text("compiled")
    done, calls = pip_calls("install_kept_wheel", directory)
    assert (done.returncode, calls) == (1, [])
    assert pip_calls(f"keep_wheel '{wheel}'", directory)[0].returncode == 0
    (kept,) = (directory / "cache").rglob("*.whl")
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    done, calls = pip_calls("install_kept_wheel", directory)
    assert done.returncode == 0, done.stderr
    assert calls[0].endswith(f"--no-index --force-reinstall {kept}")
    assert "engine_proof.py" in calls[1]


def test_a_carried_wheel_is_installed_before_others(directory: Path) -> None:
    """From runtime/wheels/, unless the user wants a build of their own (CMAKE_ARGS)."""
    (directory / "wheels").mkdir()
    wheel = directory / "wheels" / WHEEL.format(VERSION)
    wheel.write_text("carried")
    script = "engine_is_installed() { false; }; build_engine() { say built; }; install_engine"
    done, calls = pip_calls(script, directory)
    assert done.returncode == 0, done.stderr
    assert str(wheel) in calls[0]
    done, calls = pip_calls(script, directory, CMAKE_ARGS="-DGGML_NATIVE=OFF")
    assert "built" in done.stderr
    assert calls == []


@pytest.mark.parametrize(
    ("version", "status", "why"), [("0.0.1", "0", "is not used"), (VERSION, "1", "does not work")]
)
def test_a_carried_wheel_that_does_not_fit_is_named(
    directory: Path, version: str, status: str, why: str
) -> None:
    """One of another version, and one that does not work here. The installation goes on without it."""
    (directory / "wheels").mkdir()
    name = WHEEL.format(version)
    (directory / "wheels" / name).write_text("carried")
    done, _ = pip_calls("install_carried_wheel", directory, PIP_STATUS=status)
    assert done.returncode == 1
    assert name in done.stderr
    assert why in done.stderr


def test_the_build_leaves_out_what_is_not_used(directory: Path) -> None:
    """The command-line helpers, and the library for images unless that is wanted; CMAKE_ARGS come last
    and take precedence. The arguments survive a path with blanks and quotes."""
    for root, wanted, images in (("/opt/x", "", "OFF"), ("/opt/it's a path", "1", "ON")):
        script = f'ROOT="{root}"; build_arguments'
        done = step(script, directory, CMAKE_ARGS="-DGGML_CUDA=on", WITH_IMAGES=wanted)
        first, included, last = shlex.split(done.stdout)
        assert (first, last) == (f"-DLLAVA_BUILD={images}", "-DGGML_CUDA=on")
        assert included.partition("=")[2] == f"{root}/runtime/install/without_common.cmake"
    done = step("build_arguments", directory, CMAKE_ARGS="-DLLAVA_BUILD=ON")
    assert done.stdout == "-DLLAVA_BUILD=ON"
