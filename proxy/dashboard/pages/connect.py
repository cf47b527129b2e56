"""The page Connect: what to paste into clients, with a test of each."""

from __future__ import annotations

from typing import Any

import orjson
from nicegui import ui

from proxy.admin import client_settings
from proxy.admin.client_snippets import MESSAGES, RESPONSES, Snippet, snippets
from proxy.dashboard.data.api_requests import Answer
from proxy.dashboard.layout.copying import copyable
from proxy.dashboard.layout.page import Page, View
from proxy.dashboard.layout.units import duration

PLACEHOLDER = "YOUR_KEY"
_NO_MODEL = "MODEL"
_QUESTION = "Say hello in one short sentence."
_MAX_TOKENS = 48
_MAX_SHOWN_CHARS = 600


async def build(view: View) -> None:
    """Fill the page."""
    models = await view.services.models.names()
    page = _Connect(view, models[0] if models else _NO_MODEL)
    with ui.element("div").classes("panel"):
        ui.label(f"This server is {page.url}").classes("heading")
        ui.label(
            "Its API is that of OpenAI and Anthropic. The address ends in /v1 for OpenAI's clients."
        ).classes("soft")
        with ui.row().classes("filters"):
            page.model = ui.select(models or [_NO_MODEL], value=page.first_model, label="Model")
            page.model.props("outlined dense").on_value_change(page.show)
            page.with_key = ui.switch("Put my key in", on_change=page.show)
        if client_settings.is_local_only(view.services.settings.config):
            ui.label(
                "The proxy listens to this machine only: set LLAMA_PROXY_HOST for other machines."
            ).classes("soft")
    page.list = ui.element("div").classes("snippets")
    page.show()


class _Connect:
    def __init__(self, view: View, first_model: str) -> None:
        self._view = view
        self.first_model = first_model
        self.url = client_settings.url_for_others(view.services.settings.config)
        self.model: ui.select
        self.with_key: ui.switch
        self.list: ui.element

    def show(self) -> None:
        """Show all snippets as the fields say."""
        key = self._view.session.key if self.with_key.value else PLACEHOLDER
        self.list.clear()
        with self.list:
            for one in snippets(url=self.url, key=key or PLACEHOLDER, model=self.model.value):
                with ui.element("div").classes("panel"):
                    self._show(one)

    def _show(self, one: Snippet) -> None:
        ui.label(one.name).classes("heading")
        ui.label(one.where).classes("soft")
        copyable(one.text, label=f"Copy the settings of {one.name}")
        with ui.row().classes("filters"):
            test = ui.button("Test it now").props("outline dense no-caps")
            result = ui.label().classes("result soft").mark(f"result of {one.name}")

        async def try_it() -> None:
            test.disable()
            result.text = "Waiting for the answer …"
            try:
                answer = await self._view.services.api.send(
                    self._view.session, one.path, body_for(one.path, self.model.value)
                )
                result.text = outcome(one.path, answer)
            except Exception:
                result.text = ""
                raise
            finally:
                test.enable()

        test.on_click(self._view.action(try_it))


def body_for(path: str, model: str) -> dict[str, Any]:
    """A small request for a path of the API."""
    named = {} if model == _NO_MODEL else {"model": model}
    if path == RESPONSES:
        return {**named, "input": _QUESTION, "max_output_tokens": _MAX_TOKENS, "store": False}
    messages = [{"role": "user", "content": _QUESTION}]
    return {**named, "messages": messages, "max_tokens": _MAX_TOKENS}


def outcome(path: str, answer: Answer) -> str:
    """An answer in a sentence: what the model said, or the error."""
    try:
        found = orjson.loads(answer.body)
        text = _text(path, found) if answer.status == 200 else str(found["error"]["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        text = "The response cannot be read."
    took = duration(answer.seconds)
    if answer.status == 200:
        return f"It works ({took}): {text[:_MAX_SHOWN_CHARS].strip()}"
    return f"Error {answer.status} ({took}): {text[:_MAX_SHOWN_CHARS]} {answer.request_id[:64]}".rstrip()


def _text(path: str, found: Any) -> str:
    if path == RESPONSES:
        parts = [part for item in found["output"] for part in item.get("content") or ()]
        return "".join(str(part.get("text", "")) for part in parts)
    if path == MESSAGES:
        return "".join(str(part.get("text", "")) for part in found["content"])
    return str(found["choices"][0]["message"]["content"])


PAGE = Page(path="/connect", title="Connect", icon="cable", build=build)
