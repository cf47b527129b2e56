"""The other users of the machine: what they can reach of ours."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def run_as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run it as a local user who has nothing to do with the server."""
    group = pwd.getpwnam("nobody").pw_gid
    return subprocess.run(
        command,
        user="nobody",
        group=group,
        extra_groups=(),
        capture_output=True,
        text=True,
        check=False,
    )


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)
