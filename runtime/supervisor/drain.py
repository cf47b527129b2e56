"""Wait until the model server is idle, before it is restarted.

    python -m runtime.supervisor.drain SECONDS

Tells the proxy to hold back queued requests, and returns when the server has answered the requests that
it already had, or after SECONDS. Returns at once without a proxy: nothing could hold requests back.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from xmlrpc.client import Fault

from runtime.config import Config, ConfigError, load
from runtime.supervisor import readiness
from runtime.supervisor.client import NotRunningError, Supervisor

_RUNNING = "llama_requests_running "
_PAUSE_S = 0.2
_IDLE_TIMES = 2
"""How many times in a row the server must be found idle: a request may be on its way to it."""
_ANNOUNCE_EVERY_S = 5.0
"""Shorter than the time for which the proxy believes an announcement (RESTART_BEGINS_S in
proxy/scheduling/engine_watch.py)."""


def requests_running(config: Config) -> int:
    """How many requests the model server is working on; 0 if it does not answer.

    The request for this number is not counted.
    """
    request = urllib.request.Request(  # noqa: S310 - our own server's URL
        config.server_url + "/metrics",
        headers={"Authorization": f"Bearer {config.text('LLAMA_SERVER_API_KEY')}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=readiness.CHECK_TIMEOUT_S) as response:
            lines = response.read().decode().splitlines()
    except (OSError, ValueError):
        return 0
    counts = [float(line.removeprefix(_RUNNING)) for line in lines if line.startswith(_RUNNING)]
    return max(0, int(sum(counts)) - 1)


def drain(supervisor: Supervisor, config: Config, seconds: float) -> None:
    """Wait until the server is idle, for `seconds` at most."""
    deadline = time.monotonic() + seconds
    announced_at, idle, shown = float("-inf"), 0, False
    while True:
        if time.monotonic() - announced_at >= _ANNOUNCE_EVERY_S:
            if not supervisor.announce_restart() or readiness.check(config, "server"):
                return
            announced_at = time.monotonic()
        if idle == _IDLE_TIMES or time.monotonic() >= deadline:
            return
        time.sleep(_PAUSE_S)
        running = requests_running(config)
        idle = 0 if running else idle + 1
        if running and not shown:
            shown = True
            print(f"waiting for the running request to end ({seconds:g} s at most)", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """0; 1 with the reason on stderr; 2 for wrong usage."""
    if len(arguments) != 1:
        print("usage: python -m runtime.supervisor.drain SECONDS", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        drain(Supervisor(os.environ["LLAMASERVE_CONTROL"]), load(), float(arguments[0]))
    except (ConfigError, NotRunningError, Fault) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
