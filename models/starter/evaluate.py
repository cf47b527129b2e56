"""Examine a model: which questions of an examination it answers rightly, at temperature 0.

    python -m models.starter.evaluate [--model FILE] [--questions FILE] [--quiet]

`--quiet` prints the score alone, so that `unseen.jsonl` stays unseen by who improves the text.

Needs llama_cpp alone, so that the appliance's own environment does. The tests put the held-out
questions to the real server instead; `failed` and `strange_words` are what both go by.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from models.starter.text import corpus
from models.starter.text.facts import Thread

HERE = Path(__file__).resolve().parent
MODEL = HERE / "llamaserve-starter.gguf"
MAX_TOKENS = 120
MOST = 3
"""Of the five wordings of a kind in unseen.jsonl."""


def turns(item: dict[str, Any]) -> list[str]:
    """The user's messages of an examination's item, in turn; the last one's answer counts."""
    asked = item["ask"]
    return [asked] if isinstance(asked, str) else list(asked)


def failed(item: dict[str, Any], answer: str) -> list[str]:
    """The patterns that must be found in the answer, capitals or not, and are not."""
    return [pattern for pattern in item["must"] if not re.search(pattern, answer, re.IGNORECASE)]


def kinds_right(items: Iterable[dict[str, Any]], answers: Iterable[str]) -> dict[str, int]:
    """How many wordings of each kind of question are answered rightly."""
    found: dict[str, int] = {}
    for item, answer in zip(items, answers, strict=True):
        found[item["kind"]] = found.get(item["kind"], 0) + (not failed(item, answer))
    return found


def words(text: str) -> set[str]:
    """The words of a text as they are written, commands and settings among them; numbers are none."""
    found = {word.strip(".,:;!?\"'()") for word in text.split()}
    return {word for word in found if word and not re.fullmatch(r"[-+*/=\d]+", word)}


def known_words(text: Iterable[Thread]) -> set[str]:
    """All words of the answers in the training text."""
    answers = {answer for thread in text for _, answer in thread}
    return set().union(*map(words, answers))


def strange_words(answer: str, known: Iterable[str]) -> set[str]:
    """Those words of an answer that no answer of the training text has."""
    return words(answer) - set(known)


def main() -> int:
    """Print what went wrong, and the score; 1 where it is below 80 in a hundred."""
    import llama_cpp  # noqa: PLC0415 - the functions above are for those without it

    parser = argparse.ArgumentParser(description="Examine the starter model.")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--questions", default="held_out.jsonl", help="held_out, dev or unseen.jsonl")
    parser.add_argument("--quiet", action="store_true", help="print the score alone")
    arguments = parser.parse_args()
    llama: Any = llama_cpp.Llama(str(arguments.model), n_ctx=0, n_threads=1, verbose=False)
    known = known_words(corpus.threads())
    items = corpus.held_out(arguments.questions)
    right, given = 0, []
    for item in items:
        messages = [{"role": "system", "content": item["system"]}] if "system" in item else []
        reason = ""
        for question in turns(item):
            messages.append({"role": "user", "content": question})
            result = llama.create_chat_completion(messages, temperature=0, max_tokens=MAX_TOKENS)
            answer, reason = (
                result["choices"][0]["message"]["content"],
                result["choices"][0]["finish_reason"],
            )
            messages.append({"role": "assistant", "content": answer})
        given.append(answer)
        good = not failed(item, answer)
        right += good
        strange = strange_words(answer, known)
        if not arguments.quiet and (not good or strange or reason != "stop"):
            print(f"{'' if good else 'WRONG '}{reason} {strange or ''} {item['ask']!r}: {answer}")
    if all("kind" in item for item in items):
        kinds = kinds_right(items, given)
        most = sum(count >= MOST for count in kinds.values())
        print(f"{most} of {len(kinds)} kinds are understood in most wordings")
    print(f"{right} of {len(items)} right: {right / len(items):.1%}")
    return 0 if right >= 0.8 * len(items) else 1


if __name__ == "__main__":
    sys.exit(main())
