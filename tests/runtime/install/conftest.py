"""Fixtures of the installation's tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.appliance import copy_tree

TOOLS = (
    "bash basename cat cksum cp cut date dd dirname env grep head ln ls mkdir mv readlink rm sed"
    " sleep tail tr uname wc"
).split()


@pytest.fixture
def checkout(directory: Path) -> Path:
    """A copy of the tree that was never installed."""
    copy_tree(directory)
    return directory


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
