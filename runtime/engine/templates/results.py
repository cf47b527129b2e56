"""Results of calls: which call each belongs to, and where it stands.

Templates want a result right behind its call. Clients leave out ids, cut off the beginning of a chat, or
put messages between a call and its result.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime.engine.templates.template import Message


def pair_results(messages: list[Message]) -> None:
    """Give calls and results the ids that pair them, and results the names of their functions.

    Some templates want them, and older clients send neither. An id that no call has counts as none.
    """
    names: dict[str, str] = {}
    unanswered: list[str] = []
    for number, message in enumerate(messages):
        if "tool_calls" in message:
            unanswered = []
        for place, call in enumerate(message.get("tool_calls", ())):
            call_id = call.setdefault("id", f"call_{number}_{place}")
            names[call_id] = call["function"]["name"]
            unanswered.append(call_id)
        if message["role"] == "tool":
            if str(message.get("tool_call_id")) not in names and unanswered:
                message["tool_call_id"] = unanswered[0]
            call_id = str(message.get("tool_call_id", ""))
            if call_id in unanswered:
                unanswered.remove(call_id)
            if call_id in names:
                message.setdefault("name", names[call_id])


def with_results_in_place(messages: Sequence[Message]) -> list[Message]:
    """The messages with each result behind its call, and results without a call as the user's."""
    made: list[Message] = []
    waiting: dict[str, Message] = {}
    """For each call that has no result yet the message that it is in."""
    for message in messages:
        if message["role"] != "tool":
            waiting |= {call["id"]: message for call in message.get("tool_calls", ())}
            made.append(message)
            continue
        caller = waiting.pop(str(message.get("tool_call_id", "")), None)
        if caller is not None:
            made.insert(_behind_results(made, caller), message)
        elif made and (made[-1]["role"] == "tool" or "tool_calls" in made[-1]):
            made.append(message)  # another result of the same call
        else:
            made.append(told(message))
    return made


def _behind_results(messages: Sequence[Message], caller: Message) -> int:
    """The place behind a message with calls and the results that follow it."""
    at = len(messages)
    while messages[at - 1] is not caller:
        at -= 1
    while at < len(messages) and messages[at]["role"] == "tool":
        at += 1
    return at


def told(message: Message) -> Message:
    """A result as a message of the user."""
    name = message.get("name")
    whose = f" of {name}" if name else ""
    return {"role": "user", "content": f"Result{whose}:\n{message['content']}"}
