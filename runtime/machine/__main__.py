"""Prints how many processes of a size can run at a time: `python -m runtime.machine BYTES`.

For runtime/install/engine_build.sh, which starts so many compilers.
"""

from __future__ import annotations

import sys

from runtime.machine.memory import available_bytes
from runtime.machine.processors import usable_threads


def processes_at_a_time(bytes_each: int, *, free_bytes: int, threads: int) -> int:
    """One process for each hardware thread, as far as the memory suffices; at least 1."""
    return max(1, min(threads, free_bytes // bytes_each))


def main(arguments: list[str]) -> int:
    """Returns 0, or 2 for wrong usage."""
    if len(arguments) != 1 or not arguments[0].isdecimal() or not int(arguments[0]):
        print("usage: python -m runtime.machine BYTES", file=sys.stderr)
        return 2
    print(processes_at_a_time(int(arguments[0]), free_bytes=available_bytes(), threads=usable_threads()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
