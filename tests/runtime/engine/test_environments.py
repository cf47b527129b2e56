"""Models and surroundings as they are found: the engine starts, or says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.machine.ports import PortError, claim
from tests.support.client import HELLO
from tests.support.engine import Engine
from tests.support.gguf import build_model

STRANGE = {
    "LANG": "C",
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "TMPDIR": "/nonexistent",
    "http_proxy": "http://127.0.0.1:1",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "ALL_PROXY": "socks5://127.0.0.1:1",
}


async def test_a_bare_model_in_strange_surroundings(tmp_path: Path) -> None:
    """No template, no end token, an ASCII locale, no home, no temporary files, dead proxies."""
    model = build_model(tmp_path / "bäre.gguf", chat_template=None, end=None)
    with Engine(tmp_path / "engine", model, env=STRANGE) as engine:
        engine.start()
        answer = await engine.chat(messages=[*HELLO, {"role": "user", "content": "Grüße"}], max_tokens=4)
        held = await engine.chat(
            messages=HELLO, response_format={"type": "json_object", "schema": {"enum": ["ü"]}}
        )

    assert answer.content
    assert held.content == '"ü"'
    assert "llama-2" in engine.log


def test_an_address_of_another_family_is_refused_with_the_remedy() -> None:
    """A machine with IPv6 only has no 127.0.0.1: the message names the address to take."""
    with pytest.raises(PortError, match=r"set it to an address that it has"):
        claim("192.0.2.1", 0)


def test_a_machine_with_ipv6_only() -> None:
    """In a network of its own, whose loopback has ::1 alone."""
    script = (
        "from runtime.machine.ports import PortError, claim\n"
        "claim('::1', 0).close()\n"
        "try:\n    claim('127.0.0.1', 0)\nexcept PortError as error:\n    print(error)\n"
    )
    setup = 'ip link set lo up && ip addr del 127.0.0.1/8 dev lo && exec "$@"'
    command = ["unshare", "-n", "sh", "-c", setup, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unshare" in done.stderr or "not found" in done.stderr or "RTNETLINK" in done.stderr:
        pytest.skip("only root, with the right to make networks, has one of its own")

    assert "such as ::1" in done.stdout, done.stderr
