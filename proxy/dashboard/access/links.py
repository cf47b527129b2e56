"""One-time links, with which whoever runs the appliance logs in as its administrator.

A link is a random token; a file in the appliance's run directory is named after its hash. Whoever
removes the file has used the link. Only the appliance's own user can write there.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

LIFE_S = 900.0
MAX_LINKS = 16
"""More remove the oldest."""


def make_link(run_dir: Path) -> str:
    """Make a link's token.

    Raises:
        OSError: the directory cannot be written.
    """
    folder = _folder(run_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_old(folder)
    token = secrets.token_urlsafe(24)
    os.close(os.open(folder / _name(token), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return token


def use_link(run_dir: Path, token: str) -> bool:
    """Use up a link. False: there is no such link, it has been used, or it is older than LIFE_S."""
    file = _folder(run_dir) / _name(token)
    try:
        made_at = file.stat().st_mtime
        file.unlink()
    except OSError:
        return False
    return 0 <= time.time() - made_at + 1.0 <= LIFE_S + 1.0


def _folder(run_dir: Path) -> Path:
    return run_dir / "dashboard-links"


def _name(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _remove_old(folder: Path) -> None:
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
    for file in files[: max(0, len(files) + 1 - MAX_LINKS)]:
        with suppress(FileNotFoundError):
            file.unlink()
