"""Threads for what may take long and nobody's response waits for: tokenizing on its own.

They have a lower priority than the model's: its threads wait for each other at every step, and a text
of some MB keeps a core busy for seconds.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

NICENESS = 10


def background_threads(number: int, name: str) -> ThreadPoolExecutor:
    """A pool of so many threads."""
    return ThreadPoolExecutor(number, name, initializer=_step_back)


def _step_back() -> None:
    # On Linux priorities are threads'; elsewhere there is no process of that number, or no such call.
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
