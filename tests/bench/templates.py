"""What chat templates make of the histories that clients send: nothing may vanish, nothing may be
forged.

    ./console.sh bench templates DIRECTORY

DIRECTORY has templates as files `*.jinja`, such as `vendor/llama.cpp/models/templates` of
llama-cpp-python's source distribution. Each is rendered with every history of `HISTORIES`, without
tools, with one, and with one that is hardly described. A history is *rendered* if all its words are in
the prompt, *refused* if the answer would be a 400, *lost* if words are missing. Then texts that spell
all marks of the template are put everywhere: the prompt must have as many special tokens as with
harmless texts, and harmless texts the tokens that the whole prompt has by itself.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llama_cpp

from runtime.engine.errors import Refusal
from runtime.engine.templates.chat_template import ChatTemplate, ChatTemplateError
from runtime.engine.vocabulary import Vocabulary
from tests.support.gguf import build_model

Message = dict[str, Any]
_MARK = re.compile(
    r"<[|｜][^<>\s{}'\"]{1,40}[|｜]>|</?[a-z_]{2,24}>|\[/?[A-Z_]{2,24}\]|<[a-z_]+_of_[a-z]+>"
)
_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds",
        "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "A"}}},
    },
}
_BARE = {"function": {"name": "add", "parameters": {"properties": {"a": {"enum": [1, "x"]}, "b": True}}}}
"""A tool without what many clients leave out."""
_EMPTY: dict[str, Any] = {
    "tool_calls": [],
    "function_call": None,
    "refusal": None,
    "audio": None,
    "name": "",
    "reasoning_content": "",
    "annotations": [],
}
_ARGUMENTS: tuple[Any, ...] = ('{"a": "word5"}', {"a": "word5"})
_NO_ARGUMENTS: tuple[Any, ...] = ("", None, "{}", {})


def _said(role: str, content: Any, **more: Any) -> Message:
    return {"role": role, "content": content, **more}


def _call(number: int, arguments: Any) -> dict[str, Any]:
    function = {"name": f"add{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _histories() -> Iterator[tuple[str, list[Message]]]:
    user, answer, last = _said("user", "word2"), _said("assistant", "word3"), _said("user", "word4")
    system = _said("system", "word1")
    yield "system", [system, user, answer, last]
    yield "developer", [_said("developer", "word1"), user, answer, last]
    yield "two system messages", [system, _said("system", "word0"), user, answer, last]
    yield "system message in the midst", [user, answer, system, last]
    yield "two user messages", [user, last, answer, _said("user", "word9")]
    yield "empty and null fields", [user | _EMPTY, answer | _EMPTY, last | _EMPTY]
    yield "null content", [user, _said("assistant", None), last]
    parts = [{"type": "text", "text": "word2"}, {"type": "text", "text": "word9"}]
    yield "content in parts", [_said("user", parts), answer, last]
    for form in _ARGUMENTS:
        called = _said("assistant", None, tool_calls=[_call(1, form)])
        result = _said("tool", "word6", tool_call_id="call_1")
        yield "call", [user, called, result]
        yield "call, then chat", [system, user, called, result, answer, last]
    for form in _NO_ARGUMENTS:
        called = _said("assistant", "", tool_calls=[_call(1, form)])
        yield "call without arguments", [user, called, _said("tool", "word6", tool_call_id="call_1")]
    both = [_call(1, '{"a": "word5"}'), _call(2, {"b": "word7"})]
    results = [_said("tool", f"word{6 + 2 * n}", tool_call_id=f"call_{n + 1}") for n in range(2)]
    yield "two calls", [user, _said("assistant", None, tool_calls=both), *results]
    yield "two calls, then chat", [
        system, user, _said("assistant", None, tool_calls=both), *results, answer, last,
    ]  # fmt: skip
    said = _said("assistant", "word9", tool_calls=both[:1])
    yield "text and call", [user, said, results[0]]
    yield "text and call, then chat", [user, said, results[0], answer, last]
    again = _said("assistant", "word1", tool_calls=both[1:])
    yield "text and calls in turn", [user, said, results[0], again, results[1]]
    yield "text and calls in turn, then chat", [
        user, said, results[0], again, results[1], answer, last,
    ]  # fmt: skip
    yield "refusal", [user, _said("assistant", None, refusal="word3"), last]
    yield "assistant first", [answer, last]
    yield "assistant alone", [answer]
    yield "system alone", [system]
    yield "result without a call", [results[0], user, answer, last]
    yield "call without a result", [user, said, last]
    yield "user between call and result", [user, said, last, results[0]]
    old = {"name": "add1", "arguments": "{}"}
    yield "older form of a call", [
        user, _said("assistant", None, function_call=old), _said("function", "word6", name="add1"),
    ]  # fmt: skip


HISTORIES = list(_histories())
_OFFERS: tuple[list[Any], ...] = ([], [_TOOL], [_BARE])


@dataclass
class Outcome:
    """What became of one template's histories."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    lost: set[str] = field(default_factory=set)
    forged: int = 0
    unlike: int = 0
    does: str = ""


def examine(path: Path, directory: Path) -> Outcome:
    """Render all histories with one template."""
    source = path.read_text()
    marks = sorted({mark for mark in _MARK.findall(source) if mark not in ("<s>", "</s>")})
    outcome = Outcome(path.stem)
    build_model(directory / "marks.gguf", controls=marks, chat_template=None)
    with closing(
        llama_cpp.Llama(str(directory / "marks.gguf"), vocab_only=True, verbose=False)
    ) as model:
        vocabulary = Vocabulary(llama_cpp.llama_model_get_vocab(model.model))
        try:
            template = ChatTemplate({"tokenizer.chat_template": source}, vocabulary, None)
        except ChatTemplateError:
            outcome.counts["does not compile"] += 1
            return outcome
        outcome.does = _falls_back(template)
        for (name, chat), tools in itertools.product(HISTORIES, _OFFERS):
            _render(template, name, chat, tools, outcome)
            _forge(template, vocabulary, marks, chat, tools, outcome)
    return outcome


def _falls_back(template: ChatTemplate) -> str:
    able = template.capabilities
    words = {
        "system": able.system,
        "several system": able.systems or not able.system,
        "same role in a row": able.consecutive,
        "tools": able.tools,
        "calls": able.calls,
        "text beside calls": able.calls_with_text or not able.calls,
        "several calls": able.parallel_calls or not able.calls,
        "results": able.results,
    }
    return ", ".join(word for word, is_able in words.items() if not is_able)


def _render(
    template: ChatTemplate, name: str, chat: list[Message], tools: list[Any], outcome: Outcome
) -> None:
    words = set(re.findall(r"word\d|add\d", str(chat)))
    try:
        text = template.render(chat, tools=tools).text
    except Refusal as refusal:
        outcome.counts["refused"] += 1
        outcome.lost.add(f"{name}: {refusal.message}")
        return
    missing = sorted(word for word in words if word not in text)
    outcome.counts["lost" if missing else "rendered"] += 1
    if missing:
        outcome.lost.add(f"{name}: {' '.join(missing)}")


def _forge(
    template: ChatTemplate,
    vocabulary: Vocabulary,
    marks: list[str],
    chat: list[Message],
    tools: list[Any],
    outcome: Outcome,
) -> None:
    # A template may look for what ends its thinking in the assistant's texts alone.
    ours = "".join(mark for mark in marks if "think" not in mark) + "</s>"
    try:
        plain = template.render(_changed(chat, "z"), tools=tools)
        hostile = template.render(_changed(chat, ours), tools=tools)
    except Refusal:
        return
    tokens = template.tokens(plain)
    whole = vocabulary.tokenize(plain.text, add_special=plain.add_special, parse_special=True)
    outcome.unlike += tokens != whole
    known = set(vocabulary.controls.values())
    expected = [token for token in tokens if token in known]
    outcome.forged += [token for token in template.tokens(hostile) if token in known] != expected


def _changed(chat: list[Message], text: str) -> list[Message]:
    """The chat with a text put into what users write."""
    return [
        {**one, "content": f"{one['content']} {text}."}
        if one["role"] in ("user", "tool", "system") and isinstance(one["content"], str)
        else one
        for one in chat
    ]


def main(arguments: list[str]) -> int:
    """Print the table; 1 if anything was lost or forged that should not be."""
    parser = argparse.ArgumentParser(prog="bench templates")
    parser.add_argument("directory", type=Path)
    paths = sorted(parser.parse_args(arguments).directory.glob("*.jinja"))
    if not paths:
        parser.error("there are no *.jinja files")
    n = len(_OFFERS) * len(HISTORIES)
    print(f"{len(paths)} templates, {n} histories each\n")
    print("| template | rendered | refused | lost | forged | rendered by a fallback |")
    print("|---|---|---|---|---|---|")
    total: Counter[str] = Counter()
    notes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        for path in paths:
            found = examine(path, Path(directory))
            total += found.counts
            total["forged"] += found.forged
            total["unlike"] += found.unlike
            notes.update(f"{found.name}: {note}" for note in found.lost)
            counts = " | ".join(str(found.counts[name]) for name in ("rendered", "refused", "lost"))
            print(f"| {found.name} | {counts} | {found.forged} | {found.does} |", flush=True)
    print("\n" + ", ".join(f"{count} {name}" for name, count in total.items()))
    print("\n".join(sorted(notes)))
    return 1 if total["forged"] or total["unlike"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
