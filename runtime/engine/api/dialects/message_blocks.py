"""The content blocks of /v1/messages become a chat's messages.

https://docs.anthropic.com/en/api/messages, field `messages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from runtime.engine import errors
from runtime.engine.api.dialects.conversation import Conversation, Image, pieces
from runtime.engine.api.dialects.form import object_of, text_of
from runtime.engine.api.dialects.message_fields import MessageTurn
from runtime.engine.templates.messages import arguments_of

Block = Mapping[str, Any]

_FAILED = "The call failed: "
"""Put before the result of a call that the client marks as an error: templates have no such mark."""
_BASE64 = ("media_type", "data")
_BILLING = "x-anthropic-billing-header:"
"""Claude Code begins its system prompt with such a line, which differs between requests. It means
nothing to a model, and nothing after it could be reused from an earlier request."""


def add_turns(conversation: Conversation, turns: Sequence[MessageTurn]) -> None:
    """Add the turns to a conversation.

    Raises:
        Refusal: a block is none that a model of texts can read.
    """
    for number, turn in enumerate(turns):
        param = f"messages[{number}].content"
        blocks = _blocks(turn.content)
        if turn.role == "assistant":
            _add_reply(conversation, blocks, param)
        elif turn.role == "system":
            conversation.say("system", _texts(blocks, param))
        else:
            _add_user(conversation, blocks, param)


def system_text(system: str | list[dict[str, Any]]) -> str:
    """The system prompt as one text, without Claude Code's billing line."""
    texts = [_text(block, f"system[{number}]") for number, block in enumerate(_blocks(system))]
    return "\n".join(text for text in map(_without_billing, texts) if text)


def _blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _without_billing(text: str) -> str:
    return text.partition("\n")[2] if text.startswith(_BILLING) else text


def _add_user(conversation: Conversation, blocks: Sequence[Block], param: str) -> None:
    said: list[str | Image] = []
    for number, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            # Before the turn's texts, wherever it stands: that is where its call is.
            _add_result(conversation, block, f"{param}[{number}]")
        elif block.get("type") == "image" and conversation.reads_images:
            said.append(_image(block, f"{param}[{number}]"))
        else:
            said.append(_text(block, f"{param}[{number}]"))
    if said or not blocks:
        conversation.say("user", *pieces(said))


def _image(block: Block, param: str) -> Image:
    source = object_of(block.get("source"), f"{param}.source")
    url = source.get("url")
    if source.get("type") == "base64":
        kind, data = (text_of(source.get(name), f"{param}.source.{name}") for name in _BASE64)
        url = f"data:{kind};base64,{data}"
    return {"type": "image_url", "image_url": {"url": url}}


def _add_result(conversation: Conversation, block: Block, param: str) -> None:
    call_id = text_of(block.get("tool_use_id"), f"{param}.tool_use_id")
    content = block.get("content")
    if content is None:
        text = ""
    elif isinstance(content, list):
        text = _texts([object_of(one, f"{param}.content") for one in content], f"{param}.content")
    else:
        text = text_of(content, f"{param}.content")
    conversation.result(call_id, _FAILED + text if block.get("is_error") is True else text)


def _add_reply(conversation: Conversation, blocks: Sequence[Block], param: str) -> None:
    for number, block in enumerate(blocks):
        inner = f"{param}[{number}]"
        kind = block.get("type")
        if kind == "thinking":
            conversation.think(text_of(block.get("thinking"), f"{inner}.thinking"))
        elif kind == "tool_use":
            arguments = arguments_of(block.get("input"), f"{inner}.input")
            name = text_of(block.get("name"), f"{inner}.name")
            call_id = text_of(block.get("id"), f"{inner}.id")
            conversation.call(call_id, name, orjson.dumps(arguments).decode())
        elif kind != "redacted_thinking":  # of another server: nobody else can read it
            conversation.reply(_text(block, inner))


def _texts(blocks: Sequence[Block], param: str) -> str:
    return "\n".join(_text(block, f"{param}[{number}]") for number, block in enumerate(blocks))


def _text(block: Block, param: str) -> str:
    kind = block.get("type")
    if kind == "text":
        return text_of(block.get("text"), f"{param}.text")
    if kind == "document":
        return _document(block, param)
    if kind == "search_result":
        content = block.get("content")
        parts = content if isinstance(content, list) else []
        return _texts([object_of(part, f"{param}.content") for part in parts], f"{param}.content")
    raise errors.not_supported(
        f"{param}.type",
        f"{param}.type: this model reads text only. Send blocks of the types text, thinking, "
        "tool_use and tool_result.",
    )


def _document(block: Block, param: str) -> str:
    source = object_of(block.get("source"), f"{param}.source")
    if source.get("type") != "text":
        raise errors.not_supported(
            f"{param}.source.type", f"{param}.source.type: must be text; this model reads text only."
        )
    return text_of(source.get("data"), f"{param}.source.data")
