"""Checks from outside that the appliance's programs work: `start` waits for it, `status` shows it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request

import psycopg

from runtime.config import Config, ConfigError

CHECK_TIMEOUT_S = 6
"""How long one check may wait for an answer: a busy machine may hold up a program for some seconds.
A whole number, since libpq takes no other."""


def check(config: Config, name: str) -> str:
    """Check a part of the appliance. Returns "" if it works, else the reason in a few words."""
    if name == "postgres":
        return _check_postgres(config)
    if name == "server":
        return _check_engines(config)
    url = config.dashboard_url if name == "dashboard" else config.proxy_url
    return check_url(url + "/healthz")


def _check_engines(config: Config) -> str:
    """The local model server must work; where there is none, one of the engines is enough."""
    if config.uses_local_server:
        return check_url(config.server_url + "/health")
    reasons = [check_url(url + "/health", is_ours=False) for url in config.backend_urls]
    return "" if "" in reasons else reasons[0]


def _check_postgres(config: Config) -> str:
    try:
        with psycopg.connect(config.database_url(), connect_timeout=CHECK_TIMEOUT_S) as connection:
            connection.execute("SELECT 1")
    except (psycopg.Error, ConfigError) as error:
        return str(error).strip().splitlines()[0]
    return ""


def check_url(url: str, *, is_ours: bool = True) -> str:
    """Request a URL. Returns "" if the answer is good, else the reason.

    An engine that is not ours may not know the path: any answer below 500 is good.
    """
    try:
        with opener().open(url, timeout=CHECK_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            if not is_ours and error.code < 500:
                return ""
            return _reason(error)
    except (OSError, ValueError) as error:
        return f"{url} does not answer: {getattr(error, 'reason', error)}"


def opener() -> urllib.request.OpenerDirector:
    """Opens URLs of this appliance.

    HTTP_PROXY is ignored, and our own certificate is not verified: it may name other hosts.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return f"answers {error.code}: {json.loads(error.read())['error']['message']}"
    except (ValueError, KeyError, TypeError, OSError):
        return f"answers {error.code}"
