"""The clients that the tests' own environment has; `python -m tests.clients` tries all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.clients.__main__ import CALLS, MODEL
from tests.clients.environments import CLIENTS, HERE
from tests.clients.scripted_model import build
from tests.support.engine import API_KEY, Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with the model that does as it is told."""
    folder = tmp_path_factory.mktemp("clients")
    model = build(folder / MODEL, CALLS)
    with Engine(tmp_path_factory.mktemp("engine"), model) as engine:
        yield engine.start()


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_a_client_works(engine: Engine, name: str) -> None:
    """Chats, streams, whole rounds of tools, structured answers and errors, in each API it has."""
    env = os.environ | {
        "LLAMASERVE_URL": engine.url,
        "LLAMASERVE_KEY": API_KEY,
        "LLAMASERVE_MODEL": MODEL,
    }
    script = HERE / CLIENTS[name].script
    done = subprocess.run(
        [sys.executable, script], env=env, capture_output=True, text=True, check=False, timeout=120
    )

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) >= 4, done.stderr
    assert [one for one in told if not one["ok"]] == []


def test_every_client_has_a_script() -> None:
    """And a name of its own in the table."""
    assert all((HERE / client.script).is_file() for client in CLIENTS.values())
    titles = [client.title for client in CLIENTS.values()]
    assert len(set(titles)) == len(titles)
