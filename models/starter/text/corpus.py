"""The whole training text: threads of questions and answers, the same for the same seed everywhere.

Leaves to `conversations.py` how threads become conversations. No question is in it that is in
one of the EXAMINATIONS, however it is spelled: `same` tells what counts as the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from models.starter.text import appliance, fact_tables, facts, situations, sums, talk, unknown
from models.starter.text.facts import Thread
from models.starter.text.wording import Chance, Topic, ask, roughen

SEED = 20251
THREADS = 160_000
HERE = Path(__file__).resolve().parent.parent
EXAMINATIONS = ("held_out.jsonl", "dev.jsonl", "unseen.jsonl")

_SHARES: tuple[tuple[float, tuple[Topic, ...] | Callable[[Chance], Thread]], ...] = (
    (33, appliance.TOPICS),
    (30, situations.TOPICS),
    (12, talk.TOPICS),
    (2.5, fact_tables.SINGLE),
    (5, facts.capital),
    (2.5, facts.colour),
    (2.5, facts.neighbour),
    (2.5, facts.animal),
    (2, facts.opposite),
    (1, facts.count),
    (12, sums.arithmetic),
    (14, unknown.unknown),
)
"""Of all threads, those of each kind, in hundredths."""


def same(question: str) -> str:
    """What two spellings of one question have in common: letters, digits and signs, in lower case."""
    return " ".join(re.findall(r"\w+|[-+*/×÷]", question.lower()))


def held_out(file: str = "held_out.jsonl") -> list[dict[str, object]]:
    """The questions of an examination, as they stand in the file."""
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def asked(examination: list[dict[str, object]]) -> set[str]:
    """The questions that decide about an examination: the last of each conversation."""
    found = set()
    for item in examination:
        turns = item["ask"]
        found.add(same(turns if isinstance(turns, str) else str(list(turns)[-1])))  # type: ignore[call-overload]
    return found


def digest(text: Iterable[Thread]) -> str:
    """The SHA-256 of the training text, a line for each thread."""
    found = hashlib.sha256()
    for thread in text:
        found.update(json.dumps(thread).encode() + b"\n")
    return found.hexdigest()


def threads(count: int = THREADS, seed: int = SEED) -> Iterator[Thread]:
    """The training text."""
    chance = Chance(seed)
    forbidden = set().union(*(asked(held_out(file)) for file in EXAMINATIONS))
    made = 0
    while made < count:
        source = chance.weighted(_SHARES)
        thread = _of_topic(chance, source) if isinstance(source, tuple) else source(chance)
        rough = [(roughen(chance, question), answer) for question, answer in thread]
        if any(same(question) in forbidden for question, _ in rough):
            continue
        made += 1
        yield rough


def _of_topic(chance: Chance, topics: tuple[Topic, ...]) -> Thread:
    topic = chance.weighted([(topic.weight, topic) for topic in topics])
    return [(ask(chance, topic), chance.pick(topic.answers))]
