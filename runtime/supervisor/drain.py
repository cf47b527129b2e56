"""Before the model server is restarted: `python -m runtime.supervisor.drain SECONDS`.

Has the proxy keep back what waits for its turn, and returns when the server has answered what it was
given before that, or after so many seconds. Without a proxy there is nobody to keep requests back, and
nothing is waited for.
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
"""So often in a row it must be found idle: a request may just be on its way to it."""
_ANNOUNCE_EVERY_S = 5.0
"""Less than the proxy believes an announcement for (RESTART_BEGINS_S in the proxy's engine_watch.py)."""


def requests_running(config: Config) -> int:
    """How many requests the model server has; 0 where it does not answer.

    The one that asks is not counted.
    """
    request = urllib.request.Request(  # noqa: S310 - our own server's URL
        config.server_url + "/metrics",
        headers={"Authorization": f"Bearer {config.text('LLAMA_SERVER_API_KEY')}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=readiness.TIMEOUT_S) as answer:
            lines = answer.read().decode().splitlines()
    except (OSError, ValueError):
        return 0
    counts = [float(line.removeprefix(_RUNNING)) for line in lines if line.startswith(_RUNNING)]
    return max(0, int(sum(counts)) - 1)


def drain(supervisor: Supervisor, config: Config, seconds: float) -> None:
    """Wait until the server is idle, for `seconds` at most."""
    deadline = time.monotonic() + seconds
    announced_at, idle, told = float("-inf"), 0, False
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
        if running and not told:
            told = True
            print(f"letting the answer under way end ({seconds:g} s at most)", file=sys.stderr)


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
