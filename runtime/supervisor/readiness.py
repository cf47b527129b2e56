"""Whether the parts of the appliance do their work, as seen from outside: used by `start`, which
waits for it, and by `status`, which tells it.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request

import psycopg

from runtime.config import Config, ConfigError

TIMEOUT_S = 3


def check(config: Config, name: str) -> str:
    """Empty when postgres, server or proxy does its work, else why not, in a few words."""
    if name == "postgres":
        return _check_postgres(config)
    if name == "server":
        return check_url(config.backend_url + "/health", is_ours=config.uses_local_server)
    return check_url(config.proxy_url + "/healthz")


def _check_postgres(config: Config) -> str:
    try:
        with psycopg.connect(config.database_url(), connect_timeout=TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
    except (psycopg.Error, ConfigError) as error:
        return str(error).strip().splitlines()[0]
    return ""


def check_url(url: str, *, is_ours: bool = True) -> str:
    """Empty when it answers well, else why not. Another's engine is judged by answering at all."""
    # No proxy of the environment's, and no check of our own certificate, which may name other hosts.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            if not is_ours and error.code < 500:
                return ""
            return _reason(error)
    except (OSError, ValueError) as error:
        return f"{url} does not answer: {getattr(error, 'reason', error)}"


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return f"answers {error.code}: {json.loads(error.read())['error']['message']}"
    except (ValueError, KeyError, TypeError, OSError):
        return f"answers {error.code}"
