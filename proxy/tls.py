"""The server's certificate, which can be renewed while the proxy runs.

A new context is made for it, so connections that exist keep the old one, and a certificate that cannot
be used never replaces one that can.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from runtime.config import tls

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
_Seen = tuple[tuple[int, int, int] | None, ...]
"""The inode, size and change time of each file; None for one that is not there."""


class ServerCertificate:
    """A certificate and its key in PEM files.

    Attributes:
        context: what new connections use.

    Raises:
        OSError: the files cannot be read, or do not go together.
    """

    def __init__(self, cert: Path, key: Path) -> None:
        self._cert = cert
        self._key = key
        self._seen = self._look()
        self.context = self._load()

    async def watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Take up changed files, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            if self._look() != self._seen:
                self.reload()

    def reload(self) -> None:
        """Take up the files as they are now. If they cannot be used, log why and keep the old ones."""
        self._seen = self._look()
        try:
            tls.valid_until(self._cert, self._key)
            self.context = self._load()
        except (tls.TLSError, OSError) as error:
            logger.error("the new certificate cannot be used, the old one stays: %s", error)
        else:
            logger.info("new connections use the certificate that is in %s now", self._cert)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # With a password given, one that is needed is an error and not a question on the terminal.
        context.load_cert_chain(self._cert, self._key, password="")
        return context

    def _look(self) -> _Seen:
        return tuple(_identity(path) for path in (self._cert, self._key))


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
