"""runtime/shell/lib.sh: messages about places that cannot be written, and the help of every script."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime.config import ROOT

SCRIPTS = [
    *(
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "runtime/commands").glob("*.sh"))
        if path.stem != "test"
    ),  # it passes --help to pytest
    "runtime/install.sh",
    "runtime/postgres.sh",
    "runtime/postgres/control.sh",
    "runtime/supervisor/program.sh",
]


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_prints_its_help(script: str, option: str, tmp_path: Path) -> None:
    """The comment at its top, with its usage; exit status 0. Nothing is installed or started."""
    done = subprocess.run(
        ["bash", ROOT / script, option], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: " in done.stdout
    assert not done.stdout.startswith(("#", "Summary"))
    assert "set -euo" not in done.stdout
    assert "shellcheck" not in done.stdout


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    """A file system of 64 KB at a new directory."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size=64k,{options}", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root, with the right to mount, has such a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def require_writable(place: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            "bash",
            "-c",
            'set -euo pipefail; . "$1/runtime/shell/lib.sh"; require_writable "$2"',
            "-",
            ROOT,
            place,
        ],
        env={"PATH": "/usr/bin:/bin"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_directory_that_can_be_written_stays_as_it_is(tmp_path: Path) -> None:
    """No message, and no file left in it."""
    done = require_writable(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """With the reason, and 1. With LLAMASERVE_LENIENT set, which `stop` does, nothing is checked."""
    done = require_writable(tmp_path / "none")
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: cannot write in {tmp_path / 'none'}: No such file or directory\n"
    )
    assert require_writable(tmp_path / "none", LLAMASERVE_LENIENT="1").returncode == 0


def test_a_read_only_file_system_is_named(tmp_path: Path) -> None:
    """Also for root."""
    with mounted(tmp_path / "place", "ro"):
        done = require_writable(tmp_path / "place")
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """An empty file could still be created on it; it is removed again."""
    with mounted(tmp_path / "place", "rw"):
        (tmp_path / "place/large").write_bytes(bytes(64 * 1024))
        done = require_writable(tmp_path / "place")
        left = [path.name for path in (tmp_path / "place").iterdir()]
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert left == ["large"]
