"""The load of other processes, measured beside a real one."""

from __future__ import annotations

import subprocess
import sys
import time

from runtime.machine.load import OtherLoad


def test_other_processes_count_and_this_one_does_not() -> None:
    """A busy child raises the number; own work does not."""
    script = "import time\nend = time.monotonic() + 20\nwhile time.monotonic() < end: pass"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        try:
            load = OtherLoad()
            time.sleep(0.5)
            beside_child = load.cores()
        finally:
            child.kill()
    assert beside_child > 0.1


def test_two_calls_at_the_same_moment_are_no_error() -> None:
    """Without time between them nothing can be measured; the result is still a number."""
    load = OtherLoad()
    assert load.cores() >= 0
    assert load.cores() >= 0
