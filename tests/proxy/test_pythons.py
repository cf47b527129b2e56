"""The proxy on the other Pythons that an installation may be made with.

aiohttp and asyncio do not do the same on each of them. Whatever else depends on the version shows when
all the tests are run with it: see CONTRIBUTING.md.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import psycopg
import pytest

from runtime.config import ROOT
from tests.support.process import ProxyProcess
from tests.support.upstream import FakeUpstream, events

THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [version for version in ("3.11", "3.12", "3.13") if version != THIS]
"""Of those that `runtime/shell/python.sh` looks for."""


def find_python(version: str) -> str | None:
    """A Python of this version: on the PATH, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = map(str, pyenv.glob(f"versions/{version}.*/bin/python{version}"))
    for python in (f"python{version}", *of_pyenv):
        try:
            subprocess.run([python, "-c", "import ensurepip, venv"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


def make_environment(python: str, directory: Path) -> str:
    """An environment with the proxy's packages; its Python."""
    subprocess.run([python, "-m", "venv", directory], check=True)
    lock = str(ROOT / "runtime" / "requirements.txt")
    pip = [f"{directory}/bin/pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*pip, "--requirement", lock], check=True)
    return str(directory / "bin" / "python")


@pytest.mark.timeout(600)  # pip installs the packages, on a machine that runs other tests beside it
@pytest.mark.parametrize("version", OTHERS)
async def test_requests_are_answered_and_recorded(
    version: str, directory: Path, database_url: str, upstream: FakeUpstream, key: str
) -> None:
    """Plain and as a stream, on one connection."""
    found = find_python(version)
    if found is None:
        pytest.skip(f"there is no Python {version} here")
    python = make_environment(found, directory / "environment")
    configuration = {
        "LLAMA_SERVER_DATABASE_URL": database_url,
        "LLAMA_SERVER_BACKEND_URL": upstream.url,
    }
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        ProxyProcess(directory, python=python, **configuration) as proxy,
        aiohttp.ClientSession(headers=headers) as client,
    ):
        url = f"{proxy.url}/v1/chat/completions"
        async with client.post(url, json={"messages": []}) as response:
            assert response.status == 200
            assert (await response.json())["object"] == "chat.completion"
        upstream.behaviour = upstream.stream
        async with client.post(url, json={"messages": [], "stream": True}) as response:
            assert await response.read() == b"".join(events("one", "two"))
        proxy.signal(signal.SIGTERM)
        assert await proxy.wait() == 0
        assert "Traceback" not in proxy.log.read_text()
    with psycopg.connect(database_url) as connection:
        query = "SELECT status_code, stream FROM llama_requests ORDER BY id"
        assert connection.execute(query).fetchall() == [(200, False), (200, True)]
