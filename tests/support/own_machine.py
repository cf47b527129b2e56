"""Network and mounts of their own for commands, as root can make them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.wait import wait_until


@contextmanager
def namespaces(setup: str) -> Iterator[list[str]]:
    """What to put before a command to run it in a new network with new mounts; skips without the right.

    Args:
        setup: a shell script that is run there first.
    """
    holder = subprocess.Popen(
        ["unshare", "-n", "-m", "sh", "-c", f"set -e\n{setup}\necho ready; exec sleep 600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with holder:
        try:
            assert holder.stdout is not None
            assert holder.stderr is not None
            if holder.stdout.readline() != "ready\n":
                pytest.skip(f"no namespaces here: {holder.stderr.read().strip()}")
            prefix = ["nsenter", f"--target={holder.pid}", "--net", "--mount"]
            wait_until(
                lambda: subprocess.run([*prefix, "true"], check=False).returncode == 0, "nsenter to work"
            )
            yield prefix
        finally:
            holder.kill()
