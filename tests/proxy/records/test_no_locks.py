"""A data directory whose files cannot be locked, as on some network file systems."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runtime.config import ROOT
from tests.support.preload import build_preload

SCRIPT = """
import asyncio, socket, sys
from pathlib import Path
from proxy.server import ProxyServer, StartError
from tests.support.proxy import settings_for

async def start():
    away = "127.0.0.1:1"
    settings = settings_for(
        database_url=f"postgresql://{away}/none",
        backend_url=f"http://{away}",
        directory=Path(sys.argv[1]),
    )
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        async with ProxyServer(settings, listener):
            pass
    except StartError as error:
        print(error)

asyncio.run(start())
"""


def test_the_proxy_says_what_to_do(tmp_path: Path) -> None:
    """Two proxies could load the same records twice; so it does not start, and leaves no file behind."""
    preload = {"LD_PRELOAD": str(build_preload(tmp_path)), "TEST_NO_LOCKS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        env=os.environ | preload,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "cannot be locked" in done.stdout
    assert "set LLAMA_DATA_DIR to a directory on a local disk" in done.stdout
    assert list((tmp_path / "spool").iterdir()) == []
