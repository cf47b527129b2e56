"""Becomes another program, in which no signal is blocked or ignored.

    python -m runtime.supervisor.default_signals PROGRAM ARGUMENT…

What another program ignores or blocks is inherited by all that it starts. A process that TERM does not
reach can only be killed, and initdb fails where CHLD is ignored. Shells cannot undo either. HUP stays
ignored: nohup is there for that.
"""

from __future__ import annotations

import os
import signal
import sys

_KEPT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP}


def main() -> None:
    """Restore all signals and become the program in the arguments."""
    for number in signal.valid_signals() - _KEPT:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - a shell could not


if __name__ == "__main__":
    main()
