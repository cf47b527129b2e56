"""The benchmarks' mock engine (tests/bench/gateway/mock.py) as a running process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.config import ROOT


@contextmanager
def mock_engine() -> Iterator[str]:
    """Run it within the context, which gives its URL."""
    command = [sys.executable, "-m", "tests.bench.gateway.mock"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()
