"""Finds the key for the conversation.

The key in `--key-file`, else LLAMASERVE_API_KEY, else the console's own key: users who can read this
checkout's configuration administer it anyway. It belongs to the user `console`, is created on first use,
kept in `Config.data_dir / "console.key"` (mode 0600) for a week, and replaced when the proxy no longer
accepts it. If the proxy is turned off, the model server's key is used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from proxy.admin.appliance import AccessError, is_key, renew_key
from runtime.chat.client import ChatError
from runtime.config import Config

VARIABLE = "LLAMASERVE_API_KEY"
USERNAME = "console"
LIFE = timedelta(days=7)


def given(environ: Mapping[str, str], key_file: str) -> str:
    """The key that the user gave; empty if there is none.

    Raises:
        ChatError: the file cannot be read or contains no key.
    """
    if not key_file:
        return _checked(environ.get(VARIABLE, ""), VARIABLE)
    try:
        text = Path(key_file).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChatError(f"--key-file {key_file}: {getattr(error, 'strerror', None) or error}") from error
    if not text.strip():
        raise ChatError(f"--key-file {key_file}: contains no key")
    return _checked(text, f"--key-file {key_file}")


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ChatError(f"{where}: is not a key (printable ASCII without blanks)")
    return key


def kept(config: Config) -> str:
    """The console's own key; empty if there is none yet, or other users could have read it."""
    with suppress(OSError, UnicodeDecodeError):
        path = _file(config)
        if path.stat().st_mode & 0o077 == 0:
            key = path.read_text("utf-8").strip()
            return key if is_key(key) else ""
    return ""


def renewed(config: Config, old: str) -> str:
    """A new key for the user `console`, instead of `old`. Creates the user if it does not exist.

    Other keys of the user stay valid: another checkout with the same database may use them.

    Raises:
        ChatError: the database refuses, or the key cannot be saved.
    """
    try:
        key = renew_key(config, username=USERNAME, old=old, life=LIFE)
        _keep(_file(config), key)
    except AccessError as error:
        raise ChatError(f"no key could be created: {error}") from error
    except OSError as error:
        raise ChatError(f"no key could be created: {str(error).splitlines()[0]}") from error
    return key


def _file(config: Config) -> Path:
    return config.data_dir / "console.key"


def _keep(path: Path, key: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        new.unlink()
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{key}\n")
    new.replace(path)
