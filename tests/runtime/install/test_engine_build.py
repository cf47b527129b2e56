"""The steps that need a network or a compiler, each called by itself."""

from __future__ import annotations

import re
import shutil
import socket
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.install.steps import program, step


def test_without_a_compiler_it_says_how_to_get_one(directory: Path, sealed: Path) -> None:
    """If there is no wheel of llama-cpp-python."""
    program(sealed, "apt-get", "exit 1")
    done = step("build_engine ''", directory, PATH=str(sealed))
    assert done.returncode == 1
    assert "no C/C++ compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr


def test_a_failed_build_shows_its_last_lines(directory: Path) -> None:
    """And the path of the whole log."""
    done = step("build_engine ''", directory, CC="true", CXX="true")
    assert done.returncode == 1
    assert "pip would say why" in done.stderr
    assert f"{directory}/install.log" in done.stderr


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("OSError: [Errno 28] No space left on device", "free 2 GB"),
        ("[Errno -3] Temporary failure in name resolution", "HTTPS_PROXY"),
        ("SSLError: CERTIFICATE_VERIFY_FAILED", "PIP_CERT"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "mirror"),
        ("ERROR: No matching distribution found for uvloop", "PYTHON=/path/to/python3.12"),
        ("c++: fatal error: Killed signal terminated program cc1plus", "CMAKE_BUILD_PARALLEL_LEVEL=1"),
        ("something else", "./console.sh start tries again"),
    ],
)
def test_a_failure_says_what_to_do(directory: Path, output: str, remedy: str) -> None:
    """Known from what pip and the compiler have printed in the last step."""
    (directory / "install.log").write_text("No space left on device, at another time\n")
    failing = f"run_logged 'a step' printf '%s\\nand so on\\n' '{output}'"
    done = step(f"{failing}; fail_with_log 'it failed'", directory)
    assert done.returncode == 1
    assert "error: it failed" in done.stderr
    assert remedy in done.stderr.partition("error: ")[2]


def test_a_long_build_shows_that_it_is_at_work(directory: Path) -> None:
    """Without a terminal it prints a line at the beginning, and one every twenty seconds, with the part
    of the files that the compiler has done."""
    # The build ends after the second look at it, however busy the machine is.
    clock = (
        'LOOKS=0; export GO="$2/go"; sleep() { SECONDS=$((SECONDS + 25)); LOOKS=$((LOOKS + 1));'
        ' [ "$LOOKS" -lt 2 ] || : >"$GO"; command sleep 0.05; }'
    )
    build = (
        'echo "[7/80] cc -c a.c"; echo "a.c: note: array[1/2] is large"; echo "[20/80] cc -c b.c";'
        ' until [ -e "$GO" ]; do sleep 0.05; done; exit 3'
    )
    done = step(f"{clock}; run_logged 'building x' bash -c '{build}'", directory)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines[0] == "building x"
    assert re.fullmatch(r"building x … 25 % \(20 of 80 files\), 0:[2-9]\d", lines[1])


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
    assert step(f"WHEEL_INDEX={url}; install_indexed_wheel", directory).returncode == 1


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
    [("kill -ILL $$", 1), ("exit 1", 1), (f'exec "{sys.executable}" "$@"', 0)],
    ids=["illegal instruction", "error", "works"],
)
def test_the_proof_that_the_engine_works(directory: Path, body: str, status: int) -> None:
    """engine_works: 0 only if a prompt was really read; a process ended by a signal prints nothing."""
    (directory / "venv/bin").mkdir(parents=True)
    program(directory / "venv/bin", "python", body)
    done = step("engine_works", directory)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "")
