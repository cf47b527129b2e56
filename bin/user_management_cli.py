#!/usr/bin/env python3
"""Manage users, their keys and limits, from any directory; --help lists the commands.

Puts the checkout on the import path and leaves all else to `proxy/admin`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from proxy.admin.cli import main
except ImportError as error:
    print(
        f"error: {sys.executable} cannot run this ({error}): run ./bin/bootstrap_user_cli.sh once, "
        "then ./bin/user_management_cli.sh",
        file=sys.stderr,
    )
    sys.exit(1)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
