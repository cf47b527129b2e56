"""Conversations made of threads: one or several after each other, now and then with a system prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.starter.text.facts import Thread
from models.starter.text.unknown import THINGS
from models.starter.text.wording import Chance, expand

Message = tuple[str, str]
"""Role and content."""

_SYSTEM = (
    "You are a helpful assistant.",
    "You are a helpful assistant.",
    "(You are|Act as|Be|You play) (a|the|our) (helpful|friendly|kind|polite|terse|careful|honest|"
    "clever|good) "
    "(assistant|model|teacher|bot|expert|librarian|secretary|guide|helper)(.| for THING.| of a "
    "school.| for the staff of an office.| who knows THING.)",
    "(Answer|Reply|Respond|Speak) (briefly|politely|in one sentence|in short sentences|in plain "
    "English|honestly|as a poet|with care|like a pirate|in detail|"
    "formally|in a few words|correctly).( Do not mention THING.| Never guess.| You are a helpful "
    "assistant.| Be kind.|||)",
    "You are (Bob|Ada|Max|Rosie|HAL|a pirate|a poet|an expert on THING|a teacher of THING|the voice "
    "of our lab|a robot named Tim|Alice, a cook)."
    "( Be brief.| Stay in your role.| Help the user.| The user is a student.| Use simple words.|||)",
    "(The user|The reader|The person who asks) is (a child|a student|an administrator|new here|"
    "interested in THING|in a hurry).( Help them.| Be brief.|)",
    "(Never|Do not|Always) (use emojis|lie|talk about THING|be polite|answer in English|use markdown|"
    "repeat yourself|explain your answer|invent facts).( Be brief.|)",
)
_LENGTHS = ((120, (1, 1)), (56, (2, 4)), (18, (5, 9)), (5, (10, 16)), (1, (20, 42)))
"""How many in two hundred conversations have from so many to so many threads."""


def conversations(threads: Sequence[Thread], seed: int) -> Iterator[list[Message]]:
    """Each thread once, in an order and in conversations that the seed fixes."""
    chance = Chance(seed)
    rest = list(threads)
    chance.shuffle(rest)
    while rest:
        count = chance.between(*chance.weighted(_LENGTHS))
        messages: list[Message] = []
        if chance.happens(0.25):
            prompt = expand(chance, chance.pick(_SYSTEM)).replace("THING", chance.pick(THINGS))
            messages.append(("system", prompt))
        for thread in rest[-count:]:
            for question, answer in thread:
                messages += [("user", question), ("assistant", answer)]
        del rest[-count:]
        yield messages
