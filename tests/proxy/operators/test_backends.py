"""`./console.sh backends`: what an operator sees of several engines, and does to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.database.pool import connect
from proxy.settings import BackendSettings, ProxySettings
from runtime.config import Config, load
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
            0,
            f"{upstream.url}: gets no new requests\n",
            "warning: no other engine is ready: requests wait until one is used again\n",
        )
        await until(lambda: turns.backends[0].drained, "it to be drained")
        status, shown, _ = await console()
        lines = [line.split()[:6] for line in shown.splitlines()[1:]]
        assert "Connect call failed" in shown.splitlines()[2]
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


async def test_requests_wait_while_the_only_engine_of_a_list_is_drained(
    settings: ProxySettings, upstream: FakeUpstream, admin_key: str
) -> None:
    """What runs there ends as usual; what comes is answered when the engine is used again. Its model is
    told, too."""
    upstream.slots, upstream.model, upstream.behaviour = 2, "m", upstream.hold
    config = Config(root=Path("/nowhere"), values={"LLAMA_SERVER_BACKENDS": upstream.url})
    backends = (BackendSettings(url=upstream.url, key="engine-key"),)
    async with running_proxy(replace(settings, backends=backends, config=config)) as proxy:
        turns = proxy.app.turns

        async def drain(*, drained: bool) -> None:
            body = {"url": f"{upstream.url}/", "drained": drained}
            async with proxy.request("POST", "/admin/v1/backends", key=admin_key, json=body) as response:
                assert response.status == 200
            await until(lambda: turns.backends[0].drained is drained, "it to be heeded")

        async def ask() -> int:
            async with proxy.chat(admin_key) as response:
                await response.read()
                return int(response.status)

        await until(lambda: turns.slots == 2, "the slots to be read")
        async with proxy.request("GET", "/admin/v1/backends", key=admin_key) as response:
            assert [one["model"] for one in (await response.json())["data"]] == ["m"]
        runs = asyncio.create_task(ask())
        await until(lambda: upstream.running == 1, "one to run")
        await drain(drained=True)
        waits = asyncio.create_task(ask())
        await until(lambda: proxy.waiting() == 1, "the next to wait")
        async with proxy.request("GET", "/readyz") as response:
            assert response.status == 503
        upstream.go_on.set()
        assert await runs == 200
        assert not waits.done()
        await drain(drained=False)
        assert await waits == 200


async def test_a_list_that_is_no_longer_configured_drains_nothing(
    settings: ProxySettings, upstream: FakeUpstream, database_url: str, key: str
) -> None:
    """Nobody could use the engine again: what is drained can be changed only where there is a list."""
    with connect(database_url, application="tests") as connection:
        connection.execute("INSERT INTO llama_backends VALUES (%s, now())", [upstream.url])
    upstream.slots = 1
    async with running_proxy(replace(settings, shared=True)) as proxy:
        await until(lambda: proxy.app.turns.backends[0].leased == 1, "its slot")
        async with proxy.chat(key) as response:
            assert response.status == 200
