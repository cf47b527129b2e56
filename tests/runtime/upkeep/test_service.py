"""`./console.sh service`: the unit that systemd gets, and where it is put."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import KEYS, load
from runtime.upkeep.unit import unit
from tests.support.appliance import copy_tree

NEEDS_SYSTEMD = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


def verify(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "llamaserve.service"
    file.write_text(text)
    command = ["systemd-analyze", "verify", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@NEEDS_SYSTEMD
@pytest.mark.parametrize("user", ["", "root"])
def test_systemd_accepts_the_unit(directory: Path, tmp_path: Path, user: str) -> None:
    """In a path with blanks, quotes, dollar and percent signs too."""
    checkout = directory / "it's 100% $HOME"
    checkout.mkdir()
    program = checkout / "console.sh"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    done = verify(unit(load(checkout, {}), user=user), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stop_gets_the_time_it_needs(tmp_path: Path) -> None:
    """The proxy's drain, the server's stop, and a margin for the rest."""
    config = load(tmp_path, {"LLAMA_PROXY_DRAIN_SECONDS": "100.5", "LLAMA_SERVER_STOP_SECONDS": "20"})
    assert "TimeoutStopSec=166\n" in unit(config)
    assert "User=" not in unit(config)
    assert "User=alice\n" in unit(config, user="alice")


def service(
    checkout: Path, folder: Path, action: str, *, status: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command with a systemctl that only notes how it is called."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    systemctl = programs / "systemctl"
    systemctl.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >>"{folder}/calls"\nexit {status}\n')
    systemctl.chmod(0o755)
    inherited = {name: value for name, value in os.environ.items() if name not in KEYS}
    ours = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SYSTEMD_UNIT_PATH": str(folder / "units"),
        "LLAMA_VENV_DIR": sys.prefix,
    }
    return subprocess.run(
        [checkout / "console.sh", "service", action],
        env=inherited | ours,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def checkout(directory: Path) -> Path:
    copy_tree(directory)
    return directory


@NEEDS_SYSTEMD
def test_a_unit_is_installed_and_removed(checkout: Path, tmp_path: Path) -> None:
    """systemd is told both times; another checkout's unit is left alone."""
    done = service(checkout, tmp_path, "install")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "units/llamaserve.service"
    assert file.read_text() == service(checkout, tmp_path, "print").stdout
    calls = (tmp_path / "calls").read_text()
    assert "daemon-reload" in calls
    assert "enable llamaserve.service" in calls

    ours = file.read_text()
    file.write_text(ours.replace(f"WorkingDirectory={checkout}", "WorkingDirectory=/other"))
    for action in ("install", "remove"):
        done = service(checkout, tmp_path, action)
        assert done.returncode == 1
        assert "belongs to another checkout" in done.stderr
    assert file.exists()

    file.write_text(ours)
    assert service(checkout, tmp_path, "remove").returncode == 0
    assert not file.exists()
    assert "disable --now llamaserve.service" in (tmp_path / "calls").read_text()
    assert "there is no" in service(checkout, tmp_path, "remove").stderr
