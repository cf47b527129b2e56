"""Checks of the Python environment and of llama.cpp in it."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning
from runtime.engine import tuning
from runtime.models.selection import STARTER

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(\s*;)?", re.MULTILINE)
_PROOF_TIMEOUT_S = 60.0
"""The proof takes about a second; on a busy machine it may take much longer."""


def python(checkout: Installation) -> Iterator[Finding]:
    """The environment's Python, which runs this check."""
    yield ok(f"Python {platform.python_version()} in {checkout.venv}")


def packages(checkout: Installation) -> Iterator[Finding]:
    """All packages have the locked versions."""
    pins = _PIN.findall((checkout.root / "runtime/requirements.txt").read_text())
    wrong = [
        f"{name} {found or 'missing'} (should be {wanted})"
        for name, wanted, conditional in pins
        if (found := _version(name)) != wanted and not (conditional and not found)
    ]
    if not wrong:
        yield ok(f"all {len(pins)} locked packages are installed")
        return
    shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    yield problem(f"packages differ from runtime/requirements.txt: {shown}", _again(checkout))


def engine(checkout: Installation) -> Iterator[Finding]:
    """llama-cpp-python has the right version, and llama.cpp reads a prompt on this processor."""
    text = (checkout.root / "runtime/requirements-engine.txt").read_text()
    ((name, wanted, _),) = _PIN.findall(text)
    found = _version(name)
    if found != wanted:
        yield problem(f"{name} is {found or 'missing'} (should be {wanted})", _again(checkout))
    else:
        reason = prove_engine(checkout.root)
        if not reason:
            kinds = ", ".join(tuning.backends()) or "the processor alone"
            yield ok(f"{name} {found} reads a prompt, built for {kinds}")
            return
        text = f"{name} {found} does not work on this machine: {reason}"
        yield problem(text, _again(checkout, "CMAKE_ARGS=-DGGML_NATIVE=OFF ", reinstall=True))
    yield from _compiler()


def prove_engine(root: Path) -> str:
    """Read a prompt with the starter model. Returns "", or the reason why that did not work.

    This runs in another process, since a library that was built for another processor may crash it.
    """
    script, starter = root / "runtime/install/engine_proof.py", root / STARTER
    try:
        done = subprocess.run(
            [sys.executable, script, starter],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROOF_TIMEOUT_S,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return f"it did not read a short prompt within {_PROOF_TIMEOUT_S:g} seconds"
    if done.returncode < 0:
        return f"reading a prompt ended it with {signal.Signals(-done.returncode).name}"
    return (done.stderr.strip().splitlines() or ["it failed"])[-1] if done.returncode else ""


def _compiler() -> Iterator[Finding]:
    missing = [name for name in ("cc", "c++") if shutil.which(name) is None]
    if missing:
        remedy = "xcode-select --install" if sys.platform == "darwin" else "install gcc, g++ and make"
        yield problem(f"it may have to be built, but there is no {' and no '.join(missing)}", remedy)


def gpu(checkout: Installation) -> Iterator[Finding]:
    """llama.cpp is built for the GPU that the machine has."""
    kinds, nvidia = tuning.backends(), _nvidia()
    if nvidia and not kinds:
        yield warning(
            f"there is a GPU ({nvidia}), but llama.cpp was built for the processor alone",
            _again(checkout, "CMAKE_ARGS=-DGGML_CUDA=on ", reinstall=True),
        )
    elif "cuda" in kinds and not nvidia:
        yield warning("llama.cpp was built for CUDA, but no NVIDIA GPU answers", "nvidia-smi shows why")
    elif Path("/dev/kfd").exists() and not kinds:
        yield note("an AMD GPU may be there; llama.cpp was built for the processor alone")
    else:
        yield ok(f"the GPU is {nvidia}" if nvidia else "there is no NVIDIA GPU, and none is expected")


def _nvidia() -> str:
    """The name of the first NVIDIA GPU; empty if there is none."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _again(checkout: Installation, environment: str = "", *, reinstall: bool = False) -> str:
    """The command that installs what is missing or wrong."""
    python = shlex.quote(f"{checkout.venv}/bin/python")
    first = f"{python} -m pip uninstall -y llama-cpp-python && " if reinstall else ""
    stamp = shlex.quote(f"{checkout.venv}/llamaserve-installed")
    return f"{first}rm -f {stamp} && {environment}runtime/install.sh"
