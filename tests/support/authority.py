"""A certificate authority for tests of TLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import trustme

from tests.support.raw_client import RawClient


class Authority:
    """Issues certificates into one file, and connects clients that trust them."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self.pem = directory / "server.pem"
        self.context = ssl.create_default_context()
        self._authority.configure_trust(self.context)
        self.issue()

    def issue(self) -> None:
        """Replace the file by one with a new certificate, as a renewal does."""
        issued = self._authority.issue_cert("127.0.0.1")
        new = self.pem.with_suffix(".new")
        new.unlink(missing_ok=True)
        issued.private_key_and_cert_chain_pem.write_to_path(new)
        new.replace(self.pem)

    async def connect(self, address: tuple[str, int]) -> RawClient:
        """A connection over TLS."""
        return RawClient(*await asyncio.open_connection(*address, ssl=self.context))


def serial(client: RawClient) -> object:
    """The serial number of the server's certificate."""
    certificate = client.writer.get_extra_info("peercert")
    return certificate["serialNumber"]
