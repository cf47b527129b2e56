"""Wait until the model server is idle, before it is restarted.

    python -m runtime.supervisor.drain SECONDS

Tells the proxy to hold back queued requests, and returns when the server has answered the requests that
it already had, or after SECONDS. Returns at once without a proxy: nothing could hold requests back.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from xmlrpc.client import Fault

from runtime.config import Config, ConfigError, load
from runtime.supervisor import readiness
from runtime.supervisor.client import NotRunningError, Supervisor

_RUNNING = "llama_requests_running "
_PAUSE_S = 0.2
_IDLE_TIMES = 2
"""How many times in a row the server must be found idle: a request may be on its way to it."""
ANSWER_S = 3.0
"""How long proxy and server may take to answer; a busy machine may hold them up for longer."""
_ANNOUNCE_EVERY_S = 5.0
"""With two answers that are waited for, shorter than the time for which the proxy believes an
announcement (RESTART_BEGINS_S in proxy/scheduling/engine_watch.py)."""


def requests_running(config: Config) -> int | None:
    """How many requests the model server is working on; None if it does not say so in time.

    0 also if it can work on none: nothing listens, or no model is loaded. The request for this number is
    not counted.
    """
    text = _answer(config.server_url + "/metrics", config.text("LLAMA_SERVER_API_KEY"))
    if text is None:
        return None
    lines = [line for line in text.splitlines() if line.startswith(_RUNNING)]
    return max(0, int(sum(float(line.removeprefix(_RUNNING)) for line in lines)) - 1)


def _answer(url: str, key: str = "") -> str | None:
    """What is answered; empty if it is an error or nothing listens.

    None if nothing is said in time, or if it is said to other keys alone: the server may still have the
    one that was configured before.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own URL
    try:
        with readiness.opener().open(request, timeout=ANSWER_S) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        error.close()
        return None if error.code == HTTPStatus.UNAUTHORIZED else ""
    except (OSError, http.client.HTTPException) as error:
        return None if isinstance(getattr(error, "reason", error), TimeoutError) else ""


def drain(supervisor: Supervisor, config: Config, seconds: float) -> None:
    """Wait until the server is idle, for `seconds` at most.

    It counts as idle only when the proxy has answered after the first announcement, which it has then
    heard: a proxy that is held up could still send what was waiting.
    """
    deadline = time.monotonic() + seconds
    announced_at, heard, idle, shown = float("-inf"), False, 0, False
    while True:
        if time.monotonic() - announced_at >= _ANNOUNCE_EVERY_S:
            if not supervisor.announce_restart():
                return
            announced_at = time.monotonic()
        if idle == _IDLE_TIMES or time.monotonic() >= deadline:
            return
        heard = heard or _answer(config.proxy_url + "/healthz") is not None
        time.sleep(_PAUSE_S)
        running = requests_running(config)
        idle = idle + 1 if heard and running == 0 else 0
        if running != 0 and not shown:
            shown = True
            what = "to answer" if running is None else "to end the running requests"
            print(f"waiting for the model server {what} ({seconds:g} s at most)", file=sys.stderr)


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
