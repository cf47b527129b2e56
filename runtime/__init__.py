"""The appliance without its proxy: console commands, supervised programs, the guarded model server.

Each room's `__init__.py`, or the header of its main script, says what it owns. The files at the top are
paths that users and documentation know: `install.sh`, `postgres.sh`, `config.env.example`, the
requirements.
"""

from __future__ import annotations

import sys
from types import TracebackType


def _without_interrupts(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print no traceback if Ctrl-C is pressed while a command still imports its modules."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _without_interrupts
