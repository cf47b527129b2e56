"""runtime/shell/inherited.sh: what a caller's session does not change in our scripts."""

from __future__ import annotations

import os
import subprocess

import pytest

from runtime.config import ROOT

LIB = ROOT / "runtime/shell/lib.sh"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_opened(closed: str) -> None:
    """A script that reads and writes goes on, and no file takes their place."""
    script = f'. "{LIB}"; for fd in 0 1 2; do : <&$fd || exit 3; done; printf x; printf y >&2; cat'
    command = ["bash", "-c", f'bash -euc "$1" {closed}', "bash", script]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)

    assert done.returncode == 0
    assert done.stdout == (b"" if ">&-" in closed.replace("2>&-", "") else b"x")


@pytest.mark.parametrize("name", ["PYTHONPATH", "PYTHONSAFEPATH", "PYTHONWARNINGS", "PGOPTIONS"])
def test_variables_of_other_programs_are_dropped(name: str) -> None:
    """Our Python has its own modules, and the database's address is complete."""
    command = ["bash", "-euc", f'. "{LIB}"; printf "%s" "${{{name}-dropped}}"']
    done = subprocess.run(
        command, env=os.environ | {name: "error"}, capture_output=True, text=True, check=True
    )

    assert done.stdout == "dropped"
