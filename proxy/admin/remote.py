"""Runs a command at a proxy on another machine, by its admin API."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from proxy.admin.arguments import WrongUsage
from proxy.admin.commands import confirm
from proxy.admin.output import CommandOutput

TIMEOUT_S = 60.0
MAX_ANSWER_BYTES = 2**26
_USAGE = "usage: user_management_cli.sh [--url URL --admin-key-file FILE] COMMAND ...\n"
_OPTIONS = ("--url", "--admin-key-file")


class RemoteError(Exception):
    """The proxy could not be asked, or has refused; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy and the key for it."""

    url: str
    key: str = field(repr=False)


class _NoRedirect(HTTPRedirectHandler):
    """A redirect would take the key elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def take_options(argv: list[str]) -> tuple[Proxy | None, list[str]]:
    """Take the options that name a proxy from the beginning of a command line; None: there are none.

    Raises:
        WrongUsage: one is missing or has a bad value.
        RemoteError: the key cannot be read.
    """
    given: dict[str, str] = {}
    rest = list(argv)
    while rest and rest[0].partition("=")[0] in _OPTIONS:
        name, equals, value = rest.pop(0).partition("=")
        if not equals and not rest:
            raise WrongUsage(f"{name} needs a value", _USAGE)
        given[name] = value if equals else rest.pop(0)
    if not given:
        return None, rest
    if set(given) != set(_OPTIONS):
        raise WrongUsage("--url and --admin-key-file go together", _USAGE)
    url = given["--url"].rstrip("/").removesuffix("/v1")
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise WrongUsage("--url must be such as https://llm.example.org:8001", _USAGE)
    return Proxy(url=url, key=_read_key(given["--admin-key-file"])), rest


def _read_key(file: str) -> str:
    try:
        key = Path(file).expanduser().read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not text"
        raise RemoteError(f"--admin-key-file {file}: {reason}") from error
    if not key or not key.isprintable() or " " in key:
        raise RemoteError(f"--admin-key-file {file}: contains no key")
    return key


def run(proxy: Proxy, arguments: Namespace, line: list[str]) -> CommandOutput:
    """Run a command line, which has been parsed into `arguments`, at a proxy.

    Raises:
        RemoteError: it could not be run.
        UserError: it was not confirmed.
    """
    if arguments.command == "init-db":
        raise RemoteError("init-db works on the server itself only; its start does it too")
    if not getattr(arguments, "yes", True):
        confirm(f"Delete {getattr(arguments, 'username', None) or arguments.name}? Records stay.")
        line = [*line, "--yes"]
    answer = _post(proxy, {"arguments": line})
    return CommandOutput(data=answer["data"], text=str(answer["text"]))


def _post(proxy: Proxy, body: dict[str, Any]) -> dict[str, Any]:
    request = Request(  # noqa: S310 - the scheme has been checked
        proxy.url + "/admin/v1/commands",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {proxy.key}", "Content-Type": "application/json"},
    )
    try:
        with build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as response:
            found = json.loads(response.read(MAX_ANSWER_BYTES))
    except HTTPError as error:
        raise RemoteError(_reason(error)) from error
    except (URLError, OSError) as error:
        raise RemoteError(f"{proxy.url} cannot be reached: {getattr(error, 'reason', error)}") from error
    except ValueError as error:
        raise RemoteError(f"{proxy.url} is no Llamaserve proxy, or an older one") from error
    if not isinstance(found, dict) or not {"data", "text"} <= found.keys():
        raise RemoteError(f"{proxy.url} is no Llamaserve proxy, or an older one")
    return found


def _reason(error: HTTPError) -> str:
    try:
        message = str(json.loads(error.read(65_536))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the proxy answered {error.code} {HTTPStatus(error.code).phrase}"
    return message.rstrip(".").replace("\n", " ")
