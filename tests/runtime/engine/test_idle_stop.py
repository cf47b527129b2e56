"""A signal that comes while the engine's process becomes another program."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import ROOT
from runtime.engine import idle
from tests.support.wait import wait_until

SLOW_START = """
import os, sys, time
if sys.orig_argv[-1] == "runtime.engine":
    open({begun!r}, "w").close()
    while not os.path.exists({sent!r}):
        time.sleep(0.02)
"""
"""The engine's Python begins, and its handlers of signals come after the signal."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_while_the_engine_wakes_is_heeded(tmp_path: Path, number: signal.Signals) -> None:
    """It ends with status 0, as at any other time."""
    begun, sent = tmp_path / "begun", tmp_path / "sent"
    (tmp_path / "sitecustomize.py").write_text(SLOW_START.format(begun=str(begun), sent=str(sent)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        handover = {"listener": listener.fileno(), "connections": []}
        process = subprocess.Popen(
            [sys.executable, "-m", idle.ASLEEP],
            cwd=ROOT,
            env=os.environ | {idle.VARIABLE: json.dumps(handover), "PYTHONPATH": str(tmp_path)},
            pass_fds=[listener.fileno()],
        )
        try:
            with socket.create_connection(listener.getsockname()) as client:
                client.sendall(b"GET /v1/models HTTP/1.1\r\n")
                wait_until(begun.exists, "the engine to begin")
                process.send_signal(number)
                sent.touch()
                assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
