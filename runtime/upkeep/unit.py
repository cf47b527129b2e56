"""Prints a systemd unit for this checkout: `python -m runtime.upkeep.unit system|user USER`.

Owns the unit's text. runtime/commands/upkeep/service.sh puts it in its place.
"""

from __future__ import annotations

import math
import sys

from runtime.config import Config, ConfigError, load

MARGIN_S = 45
"""For the database and supervisord, after the proxy's drain and the server's stop."""

_UNIT = """\
# Written by ./console.sh service install, which writes it anew; ./console.sh service remove removes it.
[Unit]
Description=Llamaserve in {root}
{after}
[Service]
{user}WorkingDirectory={root}
ExecStart=/usr/bin/env bash {program} run
Restart=on-failure
RestartSec=5
KillMode=mixed
TimeoutStartSec=infinity
TimeoutStopSec={stop_s}
LimitNOFILE=65536
NoNewPrivileges=true

[Install]
WantedBy={target}
"""
_AFTER_NETWORK = "Wants=network-online.target\nAfter=network-online.target\n"


def unit(config: Config, *, user: str = "") -> str:
    """The text of the unit.

    Args:
        config: for the checkout's path, and for how long a stop may take.
        user: who runs the service of the system; empty for a service of the user's own.

    Raises:
        ConfigError: systemd cannot express the checkout's path.
    """
    stop_s = config.number("LLAMA_PROXY_DRAIN_SECONDS") + config.number("LLAMA_SERVER_STOP_SECONDS")
    path = str(config.root)
    if not path.isprintable() or path.strip() != path:
        raise ConfigError([f"systemd cannot express the path {path!r}: move the checkout"])
    return _UNIT.format(
        root=_escaped(path),
        program=_quoted(str(config.root / "console.sh")),
        after=_AFTER_NETWORK if user else "",
        user=f"User={user}\n" if user else "",
        stop_s=math.ceil(stop_s) + MARGIN_S,
        target="multi-user.target" if user else "default.target",
    )


def _escaped(path: str) -> str:
    """A path as a setting's whole value, where only specifiers have a meaning (systemd.unit(5))."""
    return path.replace("\\", "\\\\").replace("%", "%%")


def _quoted(path: str) -> str:
    """A path as an argument in ExecStart: quoted, without variables (systemd.service(5)). As the program
    itself, systemd would refuse a path with quotes."""
    return '"' + _escaped(path).replace('"', '\\"').replace("$", "$$") + '"'


def main(arguments: list[str]) -> int:
    """Returns 0; 1 with the reason on stderr; 2 for wrong usage."""
    match arguments:
        case ["system", user]:
            pass
        case ["user"]:
            user = ""
        case _:
            print("usage: python -m runtime.upkeep.unit system USER | user", file=sys.stderr)
            return 2
    try:
        print(unit(load(), user=user), end="")
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
