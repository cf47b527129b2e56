"""Requests to a model server, ours or the stock one, and what came back."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
MODELS = "/v1/models"
HELLO = [{"role": "user", "content": "Hello"}]
DONE = "[DONE]"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str
    broken: bool = False
    """The connection was closed before the end of the body."""

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        """What is in OpenAI's envelope."""
        error = self.json["error"]
        assert isinstance(error, dict)
        return error

    @property
    def choice(self) -> dict[str, Any]:
        """The only choice of a completion that went well."""
        assert self.status == 200, self
        (choice,) = self.json["choices"]
        assert isinstance(choice, dict)
        return choice

    @property
    def content(self) -> str:
        """The text of a chat that went well."""
        content = self.choice["message"]["content"]
        assert isinstance(content, str)
        return content

    @property
    def usage(self) -> dict[str, int]:
        """The counts of a completion that went well; `cached_tokens` tells the rest of it."""
        assert self.status == 200, self
        usage = self.json["usage"]
        return {name: count for name, count in usage.items() if isinstance(count, int)}

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt that were not evaluated anew."""
        return int(self.json["usage"]["prompt_tokens_details"]["cached_tokens"])

    @property
    def events(self) -> list[str]:
        """The data of a stream's events."""
        lines = self.text.splitlines()
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def comments(self) -> list[str]:
        """The comments of a stream."""
        return [line for line in self.text.splitlines() if line.startswith(":")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The events that are JSON, parsed."""
        return [json.loads(event) for event in self.events if event != DONE]

    @property
    def streamed(self) -> str:
        """The text of a streamed chat."""
        choices = [choice for chunk in self.chunks for choice in chunk["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    @property
    def finish_reasons(self) -> list[str]:
        """Those that a stream gives: one, if it is whole."""
        reasons = [choice["finish_reason"] for chunk in self.chunks for choice in chunk["choices"]]
        return [reason for reason in reasons if reason is not None]


class Client:
    """Talks to one model server.

    Args:
        url: of the server.
        key: sent with each request.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {key}"}

    async def request(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """One request, on a connection of its own. `key` is sent instead of ours, "" sends none;
        `more` is for aiohttp."""
        sent = dict(self.headers) if key is None else {"Authorization": f"Bearer {key}"}
        if key == "":
            sent = {}
        async with (
            aiohttp.ClientSession(self.url) as session,
            session.request(method, path, headers=sent | dict(headers or {}), **more) as answer,
        ):
            return Answer(status=answer.status, headers=answer.headers.copy(), text=await answer.text())

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.request("GET", path, **more)

    async def post(self, path: str, body: object, **more: Any) -> Answer:
        """A JSON body posted; one that is bytes goes as it is."""
        if isinstance(body, bytes):
            headers = {"Content-Type": "application/json", **more.pop("headers", {})}
            return await self.request("POST", path, data=io.BytesIO(body), headers=headers, **more)
        return await self.request("POST", path, json=body, **more)

    async def chat(self, **body: object) -> Answer:
        """One short chat, with `body` over it."""
        return await self.post(CHAT, _chat(body))

    async def complete(self, prompt: object = "Hello", **body: object) -> Answer:
        """One short completion."""
        return await self.post(COMPLETIONS, {"prompt": prompt, "max_tokens": 8, **body})

    async def stream(self, *, headers: Any = None, **body: Any) -> Answer:
        """A short chat, streamed; what has come of it if the server breaks it off."""
        parts = bytearray()
        broken = False
        async with self.streaming(headers=headers, **body) as answer:
            try:
                async for part in answer.content.iter_any():
                    parts += part
            except aiohttp.ClientPayloadError:
                broken = True
            return Answer(
                status=answer.status, headers=answer.headers.copy(), text=parts.decode(), broken=broken
            )

    @asynccontextmanager
    async def streaming(
        self, *, headers: Any = None, **body: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The same, as it comes; leaves at the context's end."""
        async with (
            aiohttp.ClientSession(self.url, headers=self.headers | dict(headers or {})) as session,
            session.post(CHAT, json=_chat({**body, "stream": True})) as answer,
        ):
            yield answer


def _chat(body: Mapping[str, object]) -> dict[str, object]:
    return {"messages": HELLO, "max_tokens": 8, **body}
