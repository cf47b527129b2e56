"""What becomes of messages that a template does not render by itself, so that nothing vanishes.

A system message becomes part of the user's message after it; a call becomes JSON in the
assistant's text; a result becomes a message of the user. docs/models.md tells users.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from runtime.engine.templates.capabilities import Capabilities, as_parts
from runtime.engine.templates.messages import REASONING
from runtime.engine.templates.results import told
from runtime.engine.templates.template import Message

_BETWEEN = "\n\n"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARACTERS = 9


def adapted(messages: Sequence[Message], able: Capabilities) -> list[Message]:
    """The messages in a form that a template with these capabilities renders."""
    chat = list(messages)
    if not able.calls:
        chat = [_with_written_calls(message) for message in chat]
    else:
        if chat and not able.last_calls:
            chat[-1] = _with_written_calls(chat[-1])
        chat = _with_shown_calls(chat, able)
    if not able.results:
        chat = [told(one) if one["role"] == "tool" else one for one in chat]
    if not able.system:
        chat = [_as_user(message) for message in chat]
    elif not able.systems:
        chat = _one_system(chat)
    if not able.empty:
        chat = [message for message in chat if not _is_empty(message)]
    chat = _with_missing_turns(chat, able)
    if not able.consecutive:
        chat = _joined(chat)
    chat = [_with_reasoning_in(able.reasoning_field, message) for message in chat]
    if able.short_ids:
        chat = [_with_short_ids(message) for message in chat]
    return [as_parts(message) for message in chat] if able.parts else chat


def _with_shown_calls(chat: list[Message], able: Capabilities) -> list[Message]:
    if not able.calls_with_text:
        apart = able.reasons_before_calls
        chat = [part for message in chat for part in _text_and_calls(message, reason_last=apart)]
        if not able.consecutive:
            chat = _one_text_a_turn(chat)
    if not able.parallel_calls:
        chat = _one_call_each(chat)
    if able.null_content:
        chat = [
            {**message, "content": message["content"] or None} if "tool_calls" in message else message
            for message in chat
        ]
    return chat


def _text_and_calls(message: Message, *, reason_last: bool) -> list[Message]:
    """A message with text and calls as two. The reasoning goes with the text, or with the calls."""
    if "tool_calls" not in message or not message["content"]:
        return [message]
    reasoning = {*REASONING}
    not_in_text = {"tool_calls", *(reasoning if reason_last else ())}
    not_in_calls = () if reason_last else reasoning
    text = {name: value for name, value in message.items() if name not in not_in_text}
    calls = {name: value for name, value in message.items() if name not in not_in_calls}
    return [text, {**calls, "content": ""}]


def _one_text_a_turn(chat: list[Message]) -> list[Message]:
    """All that the assistant says between two messages of others becomes one text.

    Templates that want messages to alternate do not count those with calls, but every text. It stands
    where the answer is, or before the calls if that is still to come.
    """
    made: list[Message] = []
    for ends_turn, messages in groupby(chat, lambda one: one["role"] in ("user", "system")):
        turn = list(messages)
        texts = [at for at, one in enumerate(turn) if _is_text(one)]
        if not ends_turn and len(texts) > 1:
            place = texts[-1] if texts[-1] == len(turn) - 1 else texts[0]
            content = _BETWEEN.join(filter(None, (turn[at]["content"] for at in texts)))
            turn[place] = {**turn[place], "content": content}
            turn = [one for at, one in enumerate(turn) if at == place or at not in texts]
        made += turn
    return made


def _is_text(message: Message) -> bool:
    return message["role"] == "assistant" and "tool_calls" not in message


def _is_empty(message: Message) -> bool:
    says = (message["content"], *(name for name in ("tool_calls", *REASONING) if name in message))
    return message["role"] == "assistant" and not any(says)


def written_call(made: dict[str, Any]) -> str:
    """A call as text, as models that are told of tools in a message write it."""
    function = made["function"]
    arguments = function["arguments"]
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    call = {"name": function["name"], "arguments": arguments}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"


def _with_written_calls(message: Message) -> Message:
    rest = dict(message)
    calls = rest.pop("tool_calls", ())
    lines = [text for text in (rest["content"], *map(written_call, calls)) if text]
    return {**rest, "content": "\n".join(lines)} if calls else message


def _as_user(message: Message) -> Message:
    return {**message, "role": "user"} if message["role"] == "system" else message


def _with_missing_turns(chat: list[Message], able: Capabilities) -> list[Message]:
    """The chat with what a template demands and a client has left out: empty messages, mostly."""
    has_user = any(one["role"] == "user" for one in chat)
    if not able.system_alone and not has_user and chat and chat[-1]["role"] == "system":
        chat = [*chat[:-1], _as_user(chat[-1])]
    if not able.assistant_first:
        first = next((at for at, one in enumerate(chat) if one["role"] != "system"), len(chat))
        if first < len(chat) and chat[first]["role"] != "user":
            chat = [*chat[:first], {"role": "user", "content": ""}, *chat[first:]]
    return chat if able.unanswered else _with_answers(chat, "" if able.empty else "…")


def _with_answers(chat: list[Message], answer: str) -> list[Message]:
    """The chat with an answer before each message of the user that follows calls without one."""
    made: list[Message] = []
    called = answered = False
    for message in chat:
        if message["role"] == "user":
            if called and not answered:
                made.append({"role": "assistant", "content": answer})
            called = answered = False
        called = called or "tool_calls" in message
        answered = answered or _is_text(message)
        made.append(message)
    return made


def _one_system(chat: list[Message]) -> list[Message]:
    """The system messages of the beginning as one; later ones are the user's."""
    n_first = next((at for at, one in enumerate(chat) if one["role"] != "system"), len(chat))
    first = _joined(chat[:n_first])
    return first + [_as_user(message) for message in chat[n_first:]]


def _joined(chat: list[Message]) -> list[Message]:
    """Messages of the same role that follow each other become one, unless there are calls in them."""
    made: list[Message] = []
    texts: list[list[str]] = []
    for message in chat:
        before = made[-1] if made else None
        if (
            before is None
            or before["role"] != message["role"]
            or message["role"] == "tool"
            or "tool_calls" in before
            or "tool_calls" in message
        ):
            made.append(message)
            texts.append([message["content"]])
        else:
            made[-1] = {**before, **message}
            texts[-1].append(message["content"])
    # At the end: adding to a text copies all of it.
    return [
        {**message, "content": _BETWEEN.join(filter(None, parts))} if len(parts) > 1 else message
        for message, parts in zip(made, texts, strict=True)
    ]


def _one_call_each(chat: list[Message]) -> list[Message]:
    """Several calls in a message become messages of one call, each with its result behind it."""
    made: list[Message] = []
    rest = list(chat)
    while rest:
        message = rest.pop(0)
        calls = message.get("tool_calls", ())
        if len(calls) < 2:
            made.append(message)
            continue
        results: list[Message] = []
        while rest and rest[0]["role"] == "tool":
            results.append(rest.pop(0))
        made += _dealt(message, calls, results)
    return made


def _dealt(message: Message, calls: Sequence[Any], results: list[Message]) -> Iterator[Message]:
    for number, call in enumerate(calls):
        content = message["content"] if number == 0 else ""
        yield {**message, "content": content, "tool_calls": [call]}
        mine = [one for one in results if "id" in call and one.get("tool_call_id") == call["id"]]
        for result in mine or results[:1]:
            results.remove(result)
            yield result
    yield from results


def _with_reasoning_in(field: str, message: Message) -> Message:
    """The message with its reasoning under the name that the template reads."""
    given = [name for name in REASONING if name in message]
    if not given or not field:
        return message
    rest = {name: value for name, value in message.items() if name not in REASONING}
    return {**rest, field: message[given[0]]}


def _with_short_ids(message: Message) -> Message:
    made = dict(message)
    if "tool_call_id" in made:
        made["tool_call_id"] = _short(made["tool_call_id"])
    if "tool_calls" in made:
        made["tool_calls"] = [{**call, "id": _short(call.get("id", ""))} for call in made["tool_calls"]]
    return made


def _short(call_id: str) -> str:
    if len(call_id) == _ID_CHARACTERS and call_id.isascii() and call_id.isalnum():
        return call_id
    number = int.from_bytes(hashlib.blake2b(str(call_id).encode(), digest_size=8).digest())
    digits = []
    for _ in range(_ID_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)
