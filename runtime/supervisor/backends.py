"""Shows the engines behind the proxy, drains one and uses it again, by the proxy's admin API.

Run as `python -m runtime.supervisor.backends [--json | drain URL | undrain URL]`.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from runtime.config import Config, ConfigError, load
from runtime.supervisor.readiness import opener

TIMEOUT_S = 10.0
PATH = "/admin/v1/backends"
_USAGE = 2


class BackendsError(Exception):
    """The proxy could not be asked, or has refused; the text says why."""


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    try:
        config = load()
        match argv:
            case [] | ["--json"]:
                found = engines(config)
                print(json.dumps(found, indent=2) if argv else table(found))
            case ["drain" | "undrain" as action, url]:
                _set_drained(config, url, drained=action == "drain")
            case _:
                print("error: usage: backends [--json | drain URL | undrain URL]", file=sys.stderr)
                return _USAGE
    except ConfigError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 1
    except BackendsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def engines(config: Config) -> list[dict[str, Any]]:
    """The engines of the local proxy, as the admin API shows them.

    Raises:
        BackendsError: the proxy does not answer, or refuses.
    """
    found: list[dict[str, Any]] = _ask(config)["data"]
    return found


def _set_drained(config: Config, url: str, *, drained: bool) -> None:
    """Drain an engine or use it again, and say so."""
    _ask(config, {"url": url, "drained": drained})
    print(f"{url}: {'gets no new requests' if drained else 'is used again'}")
    others = [one for one in engines(config) if one["url"] != url.rstrip("/")]
    if drained and not any(one["state"] == "ready" for one in others):
        print(
            "warning: no other engine is ready: requests wait until one is used again", file=sys.stderr
        )


def table(backends: list[dict[str, Any]]) -> str:
    """The engines in columns."""
    rows = [["engine", "state", "running", "slots here", "slots", "model", "problem"]]
    rows += [
        [
            one["url"],
            one["state"],
            str(one["running"]),
            str(one["slots_here"]),
            str(one["slots"]),
            one["model"] or "-",
            one["problem"] or "",
        ]
        for one in backends
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def _ask(config: Config, body: dict[str, object] | None = None) -> dict[str, Any]:
    """Call the admin API of the local proxy.

    Raises:
        BackendsError: it does not answer, or refuses.
    """
    key = config.text("LLAMA_ADMIN_KEY")
    if not key:
        raise BackendsError(
            "LLAMA_ADMIN_KEY is not set in runtime/config.env: ./console.sh start adds it"
        )
    request = urllib.request.Request(  # noqa: S310 - the configuration's own URL
        config.proxy_url + PATH,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}"},
    )
    try:
        with opener().open(request, timeout=TIMEOUT_S) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise BackendsError(_reason(error)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BackendsError(f"the proxy does not answer: {reason}; ./console.sh start") from error


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(65_536))["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the proxy answered {error.code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
