"""The language the questions are written in, and how it becomes text: `(this|that|)` is one of the
alternatives, at random; they nest. Owns chance too, so that a seed gives the same text everywhere."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_DOUBLED = set("stop swap get set put shut cut run let plug log cap ban".split())
_FILLERS = (
    "really kindly maybe our new whole little exactly dear now here some this my that simply quickly "
    "properly easily "
    "actually just also perhaps other single such own certain current quite even only first last next "
    "still ever"
).split()
_ASKING = set("how what which who where why is are can could do does when".split())
_SMALL = set("a the is do to of I an one".split())

ACTION_FRAMES = (
    "how (do|can|could|would|should) (I|we|I|one|you|someone) VERB",
    "how do I VERB",
    "how (do|can) I VERB",
    "how to VERB",
    "how does one VERB",
    "how (do|would) (I|you) go about VERBING",
    "(what|which) (is the command|command is there|command) (to|for me to) VERB",
    "(what|which) command (do I|should I|must I) (use|run|type|call|enter) to VERB",
    "what (do|should|must|can) I (type|run|enter|do|call|use) (to|if I want to|when I want to|in "
    "order to) VERB",
    "(I|we) (want|need|would like|wish|have|am trying|'d like) to VERB(|, how|. How|, what do I do|. "
    "What do I run)",
    "(please |can you |could you |)(tell|show|explain to|teach|remind) me how (to|I can|I|one can) VERB",
    "(tell me|give me|show me) (the command|what to type|what to run|a way|the way) to VERB",
    "(is there a way|is it possible|what is the way|what's the best way) to VERB",
    "(can|could|may) (I|we|one) VERB",
    "(command|commands|instructions|steps|the way) (to|for) VERB",
    "(what about|how about|command for|instructions for|help with|help me with) VERBING",
    "VERB",
    "VERB(| for me)",
    "(I would rather|I'd rather|I prefer to|let me|I must|we have to|I should|trying to|want to|need "
    "to) VERB",
    "(what|which command|which tool) (lets me|allows me to|is used to|helps to|can) VERB",
    "(any way|a way|some way) to VERB",
    "to VERB, what (do I type|is the command|must I do|do I run)",
    "how (might|would) (I|one|an administrator|someone) VERB",
    "I (don't|do not) know how to VERB",
    "(where|how) (can|do) I VERB",
    "how does VERBING work",
    "(what|which) are the steps to VERB",
    "help me VERB",
    "my (task|job) is to VERB",
)


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Questions that have the same answers."""

    answers: tuple[str, ...]
    actions: tuple[str, ...] = ()
    """What is to be done, beginning with a verb: each goes into all of the ACTION_FRAMES."""
    questions: tuple[str, ...] = ()
    """Whole questions."""
    weight: float = 1.0
    """How often the topic comes up, as against one of weight 1."""


class Chance:
    """Random choices that a seed fixes, on every version of Python: only `random()` is relied on."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random  # noqa: S311 - not for secrets

    def below(self, number: int) -> int:
        return int(self._random() * number)

    def between(self, low: int, high: int) -> int:
        """Both ends included."""
        return low + self.below(high - low + 1)

    def happens(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def weighted(self, choices: Sequence[tuple[float, T]]) -> T:
        """One of them, each as often as its weight, which stands before it, says."""
        left = self._random() * sum(weight for weight, _ in choices)
        for weight, choice in choices:
            left -= weight
            if left < 0:
                return choice
        return choices[-1][1]

    def shuffle(self, things: list[T]) -> None:
        for last in range(len(things) - 1, 0, -1):
            other = self.below(last + 1)
            things[last], things[other] = things[other], things[last]


def expand(chance: Chance, pattern: str) -> str:
    """One of the texts that a pattern stands for."""
    while "(" in pattern:
        pattern = _INNERMOST.sub(lambda found: chance.pick(found[1].split("|")), pattern)
    return " ".join(pattern.split()).replace(" ,", ",").replace(" .", ".").replace(" 'd", "'d")


def ask(chance: Chance, topic: Topic) -> str:
    """A question on a topic, in plain spelling, without a sign at its end."""
    actions = len(topic.actions)
    # A whole question says more than an action in a frame, of which there are many.
    if actions and chance.below(3 * actions + 2 * len(topic.questions)) < 3 * actions:
        action = expand(chance, chance.pick(topic.actions))
        frame = expand(chance, chance.pick(ACTION_FRAMES))
        return frame.replace("VERBING", _gerund(action)).replace("VERB", action)
    return expand(chance, chance.pick(topic.questions))


def _gerund(action: str) -> str:
    verb, _, rest = action.partition(" ")
    if verb in _DOUBLED:
        verb += verb[-1]
    elif verb.endswith("e") and not verb.endswith("ee") and verb != "be":
        verb = verb[:-1]
    return f"{verb}ing {rest}".strip()


_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORT = {
    "you": "u",
    "please": "pls",
    "are": "r",
    "what is": "whats",
    "what's": "whats",
    "thanks": "thx",
    "do not": "dont",
    "don't": "dont",
    "I am": "im",
    "cannot": "cant",
    "can't": "cant",
    "how's": "hows",
    "I'd": "id",
    "that's": "thats",
    "who is": "whos",
    "where is": "wheres",
}
_OPENINGS = (
    "please ",
    "hi, ",
    "hello, ",
    "hey, ",
    "hey ",
    "ok, ",
    "okay, ",
    "so, ",
    "so ",
    "and ",
    "well, ",
    "now ",
    "excuse me, ",
    "quick question: ",
    "one question: ",
    "sorry, ",
    "just ",
    "also, ",
    "then ",
    "pls ",
    "I have a question. ",
    "I wonder: ",
    "question: ",
    "can you tell me ",
    "do you know ",
    "tell me ",
    "could you tell me ",
    "I would like to know ",
    "please tell me ",
    "would you tell me ",
    "good morning, ",
    "um, ",
    "listen, ",
    "right, ",
    "first, ",
)
_CLOSINGS = (
    " please",
    ", please",
    " thanks",
    ", thank you",
    " here",
    " now",
    " again",
    " exactly",
    " pls",
    " in llamaserve",
    " on this machine",
    " for me",
    " then",
    " actually",
    " quickly",
    " in one sentence",
    ", do you know",
    ", can you tell me",
    " right now",
    " today",
    " with this",
    " with llamaserve",
    ", in short",
)


def roughen(chance: Chance, question: str) -> str:
    """The question as someone may type it: with or without capitals, signs, courtesies, and typos."""
    text = question
    if chance.happens(0.2):
        text = chance.pick(_OPENINGS) + text
    if chance.happens(0.16):
        text += chance.pick(_CLOSINGS)
    if chance.happens(0.1):
        for long, short in _SHORT.items():
            text = text.replace(long, short)
    if chance.happens(0.22):
        text = _mistype(chance, text)
    if chance.happens(0.06):
        text = _without_a_word(chance, text)
    if chance.happens(0.1):
        text = _with_a_word(chance, text)
    kind = chance.below(100)
    if kind < 45:
        text = text[:1].upper() + text[1:]
    elif kind < 80:
        text = text.lower()
    elif kind < 83:
        text = text.upper()
    return text + _end(chance, question)


def _end(chance: Chance, question: str) -> str:
    first = question.partition(" ")[0].lower()
    if first in _ASKING:
        return "" if chance.happens(0.35) else chance.pick(("?", "?", "?", "?", "?", " ?", "??", "."))
    return "" if chance.happens(0.45) else chance.pick((".", ".", ".", "!", "?", "?"))


def _with_a_word(chance: Chance, text: str) -> str:
    words = text.split(" ")
    if len(words) >= 4:
        words.insert(chance.between(1, len(words) - 1), chance.pick(_FILLERS))
    return " ".join(words)


def _without_a_word(chance: Chance, text: str) -> str:
    words = text.split(" ")
    if len(words) < 5:
        return text
    small = [i for i, word in enumerate(words) if word in _SMALL]
    if small:
        del words[chance.pick(small)]
    return " ".join(words)


def _mistype(chance: Chance, text: str) -> str:
    places = [i for i, letter in enumerate(text) if letter.isalpha()]
    if len(places) < 6:
        return text
    at = places[1 + chance.below(len(places) - 2)]
    match chance.below(4):
        case 0:
            return text[:at] + text[at + 1 :]
        case 1:
            return text[:at] + text[at] + text[at:]
        case 2:
            return text[:at] + text[at + 1 : at + 2] + text[at] + text[at + 2 :]
        case _:
            row = next((row for row in _KEYBOARD if text[at].lower() in row), "e")
            near = row[max(0, row.find(text[at].lower()) - 1) :][:3]
            return text[:at] + chance.pick(near) + text[at + 1 :]
