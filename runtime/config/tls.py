"""Checks that a certificate and its key can be used, and until when."""

from __future__ import annotations

import ssl
from pathlib import Path

_ROUNDS = 10
"""Limit for a handshake in memory. TLS 1.3 takes three rounds."""


class TLSError(Exception):
    """The files cannot be used. The text gives the reason and, if possible, the file."""


class TLSRefusedError(TLSError):
    """The certificate can be used, but clients refuse it: it has expired or is not valid yet."""


def valid_until(cert: Path, key: Path) -> float:
    """The Unix time at which the certificate expires.

    Raises:
        TLSRefusedError: it has expired, or is not valid yet.
        TLSError: a file is missing or unreadable, or they do not go together.
    """
    for name, path in (("LLAMA_PROXY_TLS_CERT", cert), ("LLAMA_PROXY_TLS_KEY", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise TLSError(f"{name}={path}: {error.strerror}") from error
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    # The certificate is its own trust anchor, whoever signed it: only its dates are checked.
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        # An empty password: a service cannot ask for one on the terminal.
        server.load_cert_chain(cert, key, password="")
        client.load_verify_locations(cert)
        return ssl.cert_time_to_seconds(_not_after(server, client))
    except ssl.SSLCertVerificationError as error:
        raise TLSRefusedError(f"LLAMA_PROXY_TLS_CERT={cert}: {error.verify_message}") from error
    except (OSError, ValueError) as error:
        mismatch = getattr(error, "reason", None) == "KEY_VALUES_MISMATCH"
        why = (
            "the key does not belong to the certificate"
            if mismatch
            else "not PEM, or the key has a password"
        )
        raise TLSError(
            f"LLAMA_PROXY_TLS_CERT={cert} and LLAMA_PROXY_TLS_KEY={key} cannot be used: {why}"
        ) from error


def _not_after(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """The certificate's last day, from a handshake in memory: Python cannot read it from the file."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_ROUNDS):
        waiting = False
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting = True
        if not waiting:
            break
    certificate = ends[0].getpeercert() or {}
    return str(certificate["notAfter"])
