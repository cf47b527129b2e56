"""`./console.sh backends`: what an operator sees of several engines, and does to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.settings import BackendSettings, ProxySettings
from runtime.config import load
from runtime.supervisor.backends import main
from tests.support.process import free_port
from tests.support.proxy import running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def test_an_operator_sees_the_engines_and_drains_one(
    settings: ProxySettings,
    upstream: FakeUpstream,
    admin_key: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With the administrator's key of the configuration; what is refused says why."""
    upstream.slots, upstream.model = 3, "a.gguf"
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("LLAMA_SERVER_BACKENDS", f"{upstream.url},{away}*2")
    monkeypatch.setenv("LLAMA_ADMIN_KEY", admin_key)
    backends = (
        BackendSettings(url=upstream.url, key="engine-key"),
        BackendSettings(url=away, key="engine-key", slots=2),
    )
    async with running_proxy(replace(settings, backends=backends, config=load())) as proxy:
        monkeypatch.setenv("LLAMA_PROXY_PORT", proxy.url.rsplit(":", 1)[1])
        turns = proxy.app.turns
        await until(lambda: turns.slots == 3, "the slots to be read")

        async def console(*arguments: str) -> tuple[int, str, str]:
            status = await asyncio.to_thread(main, list(arguments))
            return status, *capsys.readouterr()

        assert await console("drain", upstream.url) == (
            0, f"{upstream.url}: gets no new requests\n", "",
        )  # fmt: skip
        await until(lambda: turns.backends[0].drained, "it to be drained")
        status, shown, _ = await console()
        lines = [line.split() for line in shown.splitlines()[1:]]
        assert (status, lines) == (
            0,
            [[upstream.url, "drained", "0", "0", "3", "a.gguf"], [away, "away", "0", "0", "2", "-"]],
        )
        assert (await console("undrain", upstream.url))[0] == 0
        await until(lambda: turns.backends[0].usable, "it to be used again")
        status, _, error = await console("drain", "http://elsewhere:1")
        assert status == 1
        assert f"there are: {upstream.url}, {away}" in error
        monkeypatch.setenv("LLAMA_ADMIN_KEY", "")
        assert "LLAMA_ADMIN_KEY is not set" in (await console())[2]
    monkeypatch.setenv("LLAMA_ADMIN_KEY", admin_key)
    assert "the proxy does not answer" in (await console())[2]
    assert (await console("drain"))[0] == 2
