"""A conversation: it is in the memory of its page alone, and ends with it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

from nicegui import ui

from proxy.admin.client_snippets import CHAT
from proxy.dashboard.data import errors
from proxy.dashboard.data.errors import DashboardError
from proxy.dashboard.layout.page import View
from proxy.dashboard.layout.units import duration
from proxy.dashboard.pages.chat.message import Message
from proxy.dashboard.pages.chat.parameters import MAX_TEXT_CHARS, Parameters

MAX_MESSAGES = 100
MAX_ANSWER_CHARS = 262_144
SHOW_EVERY_S = 0.1
_PLACE_EVERY_S = 1.0


async def build(view: View) -> None:
    """Fill the page."""
    models = await view.services.models.names()
    page = _Conversation(view)
    with ui.element("div").classes("chat"):
        with ui.element("div").classes("chat-main"):
            page.add_messages()
        with ui.expansion("Parameters", icon="tune", value=False).classes("panel chat-parameters"):
            page.parameters = Parameters(models)
    view.client.on_delete(page.cancel)


class _Conversation:
    def __init__(self, view: View) -> None:
        self._view = view
        self._messages: list[dict[str, str]] = []
        self._task: asyncio.Task[None] | None = None
        self.parameters: Parameters

    def add_messages(self) -> None:
        """The list of messages, and below it the field for the next one."""
        self._list = ui.element("div").classes("messages")
        with self._list:
            ui.label("Ask the model something. Nothing of this page is stored.").classes("empty")
        with ui.element("div").classes("panel ask"):
            self._field = ui.textarea(placeholder="Message — Enter sends, Shift+Enter begins a line")
            self._field.props(
                f'outlined dense autogrow autofocus maxlength={MAX_TEXT_CHARS} aria-label="Message" '
                "data-sends"
            )
            with ui.row().classes("filters"):
                self._state = ui.label().classes("soft").mark("state")
                ui.space()
                self._clear = ui.button("Clear", on_click=self._view.action(self._forget)).props("flat")
                self._stop = ui.button("Stop", on_click=self._view.action(self.cancel)).props("outline")
                self._send = ui.button("Send", on_click=self._view.action(self._ask)).props(
                    "unelevated data-send"
                )
        self._stop.visible = False

    def cancel(self) -> None:
        """Stop the answer that comes; the engine stops too."""
        if self._task is not None:
            self._task.cancel()

    def _forget(self) -> None:
        self.cancel()
        self._messages = []
        self._list.clear()

    def _ask(self) -> None:
        text = (self._field.value or "").strip()
        if not text or (self._task is not None and not self._task.done()):
            return
        if len(self._messages) >= MAX_MESSAGES:
            raise errors.conversation_full(MAX_MESSAGES)
        asked = [*self._messages, {"role": "user", "content": text[:MAX_TEXT_CHARS]}]
        body = self.parameters.body(asked)
        self._messages = asked
        self._field.value = ""
        if len(asked) == 1:
            self._list.clear()
        with self._list:
            question = Message("user")
            question.add(text)
            answer = Message("assistant")
        self._task = asyncio.create_task(self._answer(body, asked, answer))

    async def _answer(self, body: dict[str, Any], asked: list[dict[str, str]], message: Message) -> None:
        self._stop.visible, self._send.visible = True, False
        place = asyncio.create_task(self._show_place())
        try:
            note = await self._stream(body, message, place)
        except asyncio.CancelledError:
            note = "Stopped."
        except DashboardError as error:
            note = str(error)
        finally:
            place.cancel()
        if not self._view.client.is_deleted:
            self._end(asked, message, note)

    def _end(self, asked: list[dict[str, str]], message: Message, note: str) -> None:
        self._stop.visible, self._send.visible = False, True
        self._state.text = ""
        if asked is not self._messages:  # the conversation has been cleared meanwhile
            return
        message.finish()
        message.note(note)
        if message.text:
            asked.append({"role": "assistant", "content": message.text})
        else:
            # Without an answer the question does not count: it can be asked again.
            asked.pop()

    async def _stream(self, body: dict[str, Any], message: Message, place: asyncio.Task[None]) -> str:
        """Show the answer as it comes. Returns what to say about it."""
        began, first, pending = time.monotonic(), 0.0, _Pending(message)
        usage: dict[str, Any] = {}
        async for event in self._view.services.api.stream(self._view.session, CHAT, body):
            if "error" in event:
                pending.show()
                return f"Error: {str(_message_of(event))[:1000]}"
            usage = event.get("usage") or usage
            if _has_text(event):
                first = first or time.monotonic() - began
                place.cancel()
                self._state.text = "Answering …"
            pending.take(event)
            if len(message.text) > MAX_ANSWER_CHARS:
                break
        pending.show()
        return _sums(usage, first, time.monotonic() - began)

    async def _show_place(self) -> None:
        """Say how the request waits, until it is cancelled."""
        began = time.time()
        while True:
            waited = f"Waiting for {time.time() - began:.0f} s"
            self._state.text = f"{waited} …"
            with suppress(DashboardError):
                state = await self._view.services.live.state(self._view.session)
                own = [one for one in state["waiting"] if one["user"] == self._view.username]
                if own:
                    self._state.text = f"{waited}, {place_text(own[-1])} …"
            await asyncio.sleep(_PLACE_EVERY_S)


class _Pending:
    """Collects what comes and shows it every SHOW_EVERY_S: a page need not hear of each token."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._said = self._thought = ""
        self._shown_at = 0.0

    def take(self, event: dict[str, Any]) -> None:
        """Take over what an event adds."""
        delta = _delta_of(event)
        self._said += str(delta.get("content") or "")
        self._thought += str(delta.get("reasoning_content") or "")
        if time.monotonic() - self._shown_at > SHOW_EVERY_S:
            self.show()

    def show(self) -> None:
        """Show what has come."""
        self._shown_at = time.monotonic()
        if self._thought:
            self._message.think(self._thought)
        if self._said:
            self._message.add(self._said)
        self._said = self._thought = ""


def _delta_of(event: dict[str, Any]) -> dict[str, Any]:
    choices = event.get("choices") or [{}]
    delta = choices[0].get("delta")
    return delta if isinstance(delta, dict) else {}


def _has_text(event: dict[str, Any]) -> bool:
    delta = _delta_of(event)
    return bool(delta.get("content") or delta.get("reasoning_content"))


def _message_of(event: dict[str, Any]) -> object:
    error = event["error"]
    return error.get("message", error) if isinstance(error, dict) else error


def place_text(waiting: dict[str, Any]) -> str:
    """The place of a request that waits, and about how long it will."""
    text = f"at place {waiting['place']} in the queue"
    if (waiting.get("estimated_wait_s") or 0.0) >= 1:
        text += f", about {duration(waiting['estimated_wait_s'])} more"
    return text


def _sums(usage: dict[str, Any], first_s: float, whole_s: float) -> str:
    """How long an answer took, and its tokens."""
    tokens = usage.get("completion_tokens")
    text = f"First token after {duration(first_s)}, whole {duration(whole_s)}"
    if isinstance(tokens, int):
        text += f" · {usage.get('prompt_tokens', 0)} tokens in, {tokens} out"
        if tokens > 1 and whole_s > first_s:
            text += f" · {(tokens - 1) / (whole_s - first_s):.1f} tokens/s"
    return text
