"""The Python environment and llama.cpp in it."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning
from runtime.engine import tuning

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(\s*;)?", re.MULTILINE)
_LOADS = "import llama_cpp; llama_cpp.llama_print_system_info()"
_TIMEOUT_S = 60.0


def python(there: Installation) -> Iterator[Finding]:
    """The interpreter that runs this is the environment's, and new enough to run it."""
    yield ok(f"Python {platform.python_version()} in {there.venv}")


def packages(there: Installation) -> Iterator[Finding]:
    """Each package is there as the lock has it."""
    pins = _PIN.findall((there.root / "runtime/requirements.txt").read_text())
    wrong = [
        f"{name} {found or 'missing'} (should be {wanted})"
        for name, wanted, conditional in pins
        if (found := _version(name)) != wanted and not (conditional and not found)
    ]
    if not wrong:
        yield ok(f"all {len(pins)} locked packages are there")
        return
    shown = ", ".join(wrong[:5]) + (f" and {len(wrong) - 5} more" if len(wrong) > 5 else "")
    yield problem(f"the environment differs from the lock: {shown}", _again(there))


def engine(there: Installation) -> Iterator[Finding]:
    """llama-cpp-python is there in its version, and its library loads."""
    text = (there.root / "runtime/requirements-engine.txt").read_text()
    ((name, wanted, _),) = _PIN.findall(text)
    found = _version(name)
    if found != wanted:
        yield problem(f"{name} is {found or 'missing'}, and should be {wanted}", _again(there))
    else:
        # In a process of its own: a library that was built for another processor ends it.
        command = [sys.executable, "-c", _LOADS]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S, errors="replace"
        )
        if done.returncode == 0:
            kinds = ", ".join(tuning.backends()) or "the processor alone"
            yield ok(f"{name} {found} loads, built for {kinds}")
            return
        why = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        yield problem(f"{name} {found} does not load: {why}", _again(there, reinstall=True))
    yield from _compiler()


def _compiler() -> Iterator[Finding]:
    missing = [name for name in ("cc", "c++") if shutil.which(name) is None]
    if missing:
        remedy = "xcode-select --install" if sys.platform == "darwin" else "install gcc, g++ and make"
        yield problem(f"it may have to be built, and there is no {' and no '.join(missing)}", remedy)


def gpu(there: Installation) -> Iterator[Finding]:
    """The build of llama.cpp goes with the GPU."""
    kinds, nvidia = tuning.backends(), _nvidia()
    if nvidia and not kinds:
        yield warning(
            f"there is a GPU ({nvidia}), and llama.cpp was built for the processor alone",
            _again(there, "CMAKE_ARGS=-DGGML_CUDA=on ", reinstall=True),
        )
    elif "cuda" in kinds and not nvidia:
        yield warning("llama.cpp was built for CUDA, and no NVIDIA GPU answers", "nvidia-smi tells why")
    elif Path("/dev/kfd").exists() and not kinds:
        yield note("an AMD GPU may be there; llama.cpp was built for the processor alone")
    else:
        yield ok(f"the GPU is {nvidia}" if nvidia else "there is no NVIDIA GPU, and none is expected")


def _nvidia() -> str:
    """The name of the first GPU; empty where none answers."""
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


def _again(there: Installation, environment: str = "", *, reinstall: bool = False) -> str:
    """The command that installs anew what differs."""
    python = shlex.quote(f"{there.venv}/bin/python")
    first = f"{python} -m pip uninstall -y llama-cpp-python && " if reinstall else ""
    stamp = shlex.quote(f"{there.venv}/llamaserve-installed")
    return f"{first}rm -f {stamp} && {environment}runtime/install.sh"
