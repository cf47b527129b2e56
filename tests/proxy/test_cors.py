"""Pages of other origins: preflight requests need no key, and errors can be read by the page."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream

CHAT = "/v1/chat/completions"
ORIGIN = "https://chat.example"
HERE, ELSEWHERE = {"Origin": ORIGIN}, {"Origin": "https://elsewhere.example"}
ASKS = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
}
ALLOWED = "access-control-allow-origin"


async def test_a_page_of_a_configured_origin_may_call(
    settings: ProxySettings, upstream: FakeUpstream, key: str
) -> None:
    """204 to its preflight without a key; its origin is named in responses, errors and health alike.

    Preflights are neither recorded nor wrong keys, and the engine hears nothing of origins.
    """

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({}, headers={"Access-Control-Allow-Origin": "*", "X-Other": "1"})

    upstream.behaviour = answer
    limited = replace(settings, cors_origins=(ORIGIN,), auth_failures_per_minute=1)
    async with running_proxy(limited) as proxy:
        for _ in range(5):
            async with proxy.request("OPTIONS", CHAT, headers=HERE | ASKS) as response:
                assert (response.status, await response.read()) == (204, b"")
                assert response.headers[ALLOWED] == ORIGIN
                assert (
                    response.headers["access-control-allow-headers"]
                    == ASKS["Access-Control-Request-Headers"]
                )
                assert "POST" in response.headers["access-control-allow-methods"]
        for method, path, sent, status in (
            ("POST", CHAT, key, 200),
            ("POST", CHAT, None, 401),
            ("POST", "/v1/nothing", key, 404),
            ("GET", "/healthz", None, 200),
        ):
            async with proxy.request(method, path, key=sent, headers=HERE) as response:
                assert response.status == status
                assert response.headers.getall(ALLOWED) == [ORIGIN]
                assert "x-request-id" in response.headers["access-control-expose-headers"]
                assert response.headers["vary"] == "Origin"
        assert [sorted({"origin"} & set(received.headers)) for received in upstream.received] == [[]]
        await proxy.rows(2)


async def test_other_pages_may_not(settings: ProxySettings, key: str) -> None:
    """A 403 to their preflight that names the setting, and no header that lets them read a response."""
    async with running_proxy(replace(settings, cors_origins=(ORIGIN,))) as proxy:
        await _refused(proxy, ELSEWHERE, key)


async def test_by_default_no_page_may(proxy: RunningProxy, key: str) -> None:
    """Not even with a key: a visitor's access to the network is not the page's."""
    async with proxy.request("POST", CHAT, key=key, headers=HERE, json={}) as response:
        assert response.status == 200
        assert ALLOWED not in response.headers
    async with proxy.request("OPTIONS", CHAT, headers=HERE | ASKS) as response:
        assert response.status == 403
        assert ALLOWED not in response.headers


async def _refused(proxy: RunningProxy, origin: dict[str, str], key: str) -> None:
    async with proxy.request("OPTIONS", CHAT, headers=origin | ASKS) as response:
        assert response.status == 403
        assert "LLAMA_SERVER_CORS_ORIGINS" in await response.text()
        assert ALLOWED not in response.headers
    async with proxy.request("POST", CHAT, key=key, headers=origin, json={}) as response:
        assert response.status == 200
        assert ALLOWED not in response.headers


async def test_any_origin_may_be_allowed(settings: ProxySettings) -> None:
    """With * the answer is the same for all, and names of headers that are no names are not repeated."""
    async with running_proxy(replace(settings, cors_origins=("*",))) as proxy:
        asks = ELSEWHERE | ASKS | {"Access-Control-Request-Headers": "a;b"}
        async with proxy.request("OPTIONS", CHAT, headers=asks) as response:
            assert (response.status, response.headers[ALLOWED]) == (204, "*")
            assert response.headers["access-control-allow-headers"] == "authorization, content-type"
