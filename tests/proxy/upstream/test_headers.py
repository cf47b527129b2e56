"""What the proxy tells the engine of a request's user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from proxy.settings import ProxySettings
from proxy.upstream.headers import RequestHeaders
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream

FORGED = {
    "X-Llamaserve-User": "forged",
    "X-Llamaserve-Weight": "1000",
    "X-Llamaserve-Request": "forged",
    "x-llamaserve-anything": "forged",
    "X-LLM-D-Inference-Fairness-ID": "forged",
    "x-llm-d-model-name-rewrite": "forged",
    "x-gateway-destination-endpoint": "forged",
}


async def ask(proxy: RunningProxy, upstream: FakeUpstream, key: str) -> dict[str, str]:
    """The headers that the engine got of a chat request."""
    async with proxy.request(
        "POST", "/v1/chat/completions", key=key, json={}, headers=FORGED
    ) as response:
        assert response.status == 200
    return upstream.received[-1].headers


async def test_the_engine_learns_an_opaque_tag_of_the_user(
    settings: ProxySettings, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """One for each user, the same after a restart; what a client sends by these names is dropped."""
    alice, bob = create_user("alice"), create_user("bob", weight=2.5)
    async with running_proxy(settings) as proxy:
        first, again = [await ask(proxy, upstream, alice) for _ in range(2)]
        other = await ask(proxy, upstream, bob)
    async with running_proxy(settings) as proxy:
        restarted = await ask(proxy, upstream, alice)
    async with running_proxy(replace(settings, backend_key="another")) as proxy:
        elsewhere = await ask(proxy, upstream, alice)
    name = "x-llamaserve-user"
    assert first[name] == again[name] == restarted[name]
    assert len({first[name], other[name], elsewhere[name]}) == 3
    assert len(first[name]) == 32
    assert (first["x-llamaserve-weight"], other["x-llamaserve-weight"]) == ("1", "2.5")
    requests = [headers["x-llamaserve-request"] for headers in (first, again, other, restarted)]
    assert len(set(requests)) == 4
    assert "forged" not in {value for headers in (first, other) for value in headers.values()}
    assert "x-llamaserve-anything" not in first
    assert first["x-llm-d-inference-fairness-id"] == first[name]
    assert not {"x-llm-d-model-name-rewrite", "x-gateway-destination-endpoint"} & set(first)


def test_without_an_engine_key_tags_cannot_be_guessed() -> None:
    """The key of the hash is random then, for each process."""
    one, other = (RequestHeaders("host", "").for_user(1, 1.0) for _ in range(2))
    assert one != other
