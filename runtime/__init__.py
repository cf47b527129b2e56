"""What runs: the installation, the supervised processes and the guarded model server."""

from __future__ import annotations

import sys
from types import TracebackType


def _without_interrupts(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Whoever presses Ctrl-C while a command still imports what it needs is shown nothing."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_interrupts
