"""Simple facts, and follow-up questions about the like."""

from __future__ import annotations

from models.starter.text.fact_tables import (
    CAPITALS,
    COLOURS,
    DAYS,
    LEGS,
    MONTHS,
    OPPOSITES,
    SOUNDS,
    YOUNG,
)
from models.starter.text.wording import Chance, expand

Thread = list[tuple[str, str]]
"""Questions and answers that follow each other."""


def capital(chance: Chance) -> Thread:
    """A capital, and now and then another one after it, or the country of one."""

    def answer(country: str) -> str:
        return f"The capital of {country} is {CAPITALS[country]}."

    countries = list(CAPITALS)
    country = chance.pick(countries)
    question = expand(
        chance,
        "(what is|what's|which is|which city is|what city is|tell me|do you know|name|give me|say|"
        "can you tell me|do you know which city is|whats|) "
        f"the (capital|capital|capital city) of {country}"
        f"|the (capital|capital city) of {country} is (what|called what|which city|named how)"
        f"|(what is|tell me|do you know|name|what's) {country}'s (capital|capital city)"
        f"|(capital|capital city) of {country}|{country}'s capital|{country} capital"
        f"|(what|which) (capital|capital city) (does|has) {country} have|what is the (name of the "
        f"capital|capital's name) of {country}"
        f"|(which|what) (city|town) is (the capital of {country}|{country}'s capital)|{country}, "
        "what is the capital"
        f"|how is the capital of {country} called|I (want|need|would like) to know the capital of "
        f"{country}"
        if chance.happens(0.55)
        else f"(what is|what's|tell me|which city is) the capital of {country}",
    )
    question = chance.pick(question.split("|"))
    thread = [(question, answer(country))]
    while chance.happens(0.22):
        other = chance.pick(countries)
        follow = expand(
            chance,
            "(and|and of|and what about|what about|how about|and for|and that of|now|and the "
            f"capital of|then|and in) {other}",
        )
        thread.append((follow, answer(other)))
    if chance.happens(0.08):
        country = chance.pick([c for c in countries if c not in ("England",)])
        question = expand(
            chance,
            f"(what|which) country (has|is) {CAPITALS[country]} (as its capital|the capital of|as "
            "capital)",
        )
        thread.append((question, answer(country)))
    return thread


def colour(chance: Chance) -> Thread:
    """The colour of something, asked openly or with two to choose from."""
    thing = chance.pick(list(COLOURS))
    right = COLOURS[thing]
    wrong = chance.pick([c for c in set_of(COLOURS) if c != right])
    first, second = (right, wrong) if chance.happens(0.5) else (wrong, right)
    question = expand(
        chance,
        chance.pick(
            (
                f"(what|which) (colour|color) (is|has) {thing}( got|)",
                f"(what|which) (colour|color) does {thing} have",
                f"(what is|what's|tell me|name|say|do you know) the (colour|color) of {thing}",
                f"(colour|color) of {thing}",
                f"is {thing} {first} or {second}",
                f"{thing}, what (colour|color) is (it|that)",
                f"what is (usually |)the (usual |)(colour|color) of {thing}",
            )
        ),
    )
    subject = thing[0].upper() + thing[1:]
    thread = [(question, f"{subject} is {right}.")]
    if chance.happens(0.15):
        other = chance.pick(list(COLOURS))
        follow = expand(chance, f"(and|and what about|what about|how about) {other}")
        thread.append((follow, f"{other[0].upper()}{other[1:]} is {COLOURS[other]}."))
    return thread


def set_of(mapping: dict[str, str]) -> list[str]:
    """The values, each once, in a fixed order."""
    return list(dict.fromkeys(mapping.values()))


def neighbour(chance: Chance) -> Thread:
    """The day or month after or before another."""
    kind, names = chance.pick((("day", DAYS), ("month", MONTHS)))
    at = chance.below(len(names))
    step, word = chance.pick(((1, "after"), (-1, "before")))
    verb = "follows" if step == 1 else "precedes"
    comes = (
        "(comes|is|follows|comes right|is right|comes next)"
        if step == 1
        else "(comes|is|comes right|is right|comes directly)"
    )
    passive = (
        "(what|which) KIND is (followed by|before)"
        if step == -1
        else "(what|which) KIND (comes next after|is next after)"
    )
    question = expand(
        chance,
        chance.pick(
            (
                f"(what|which KIND|what KIND) {comes} {word} {names[at]}",
                f"(tell me|name|say|give me|what is|what's|which is) the KIND {word} {names[at]}",
                f"(tell me|name|say|what is) the KIND that (comes|is|{verb}) {word} {names[at]}",
                f"(tell me|name|which is|what is) the KIND (which|that) {verb} {names[at]}",
                f"the KIND {word} {names[at]}",
                f"{word} {names[at]} comes (what|which KIND)",
                f"{passive} {names[at]}",
                f"what is {word} {names[at]}",
                f"{names[at]} is {'followed by' if step == 1 else 'preceded by'} (what|which KIND)",
            )
        ).replace("KIND", kind),
    )
    question = question.replace("follows after", "follows")
    other = names[(at + step) % len(names)]
    return [(question, f"The {kind} {word} {names[at]} is {other}.")]


def animal(chance: Chance) -> Thread:
    """What it says, how many legs it has, what its young is called."""
    match chance.below(3):
        case 0:
            name = chance.pick(list(SOUNDS))
            article = _article(name)
            question = (
                f"(what|which) (sound|noise|noises|sounds) (does|makes|do|can) {article} {name} "
                f"(make|)|what does {article} {name} (say|do)"
                f"|(how does {article} {name} sound|the sound of {article} {name}|sound of {article} "
                f"{name})|(what|which) (sound|noise) do {_plural(name)} make"
                f"|what do {_plural(name)} say|how do {_plural(name)} (sound|talk)"
            )
            reply = f"{article.capitalize()} {name} says {SOUNDS[name]}."
        case 1:
            name = chance.pick(list(LEGS))
            article = _article(name)
            question = (
                f"how many (legs|legs|feet) (does|has) {article} {name} (have|got|)|how many legs do "
                f"{_plural(name)} have|number of legs of {article} {name}"
                f"|how many legs has {article} {name} got|how many legs are there on {article} "
                f"{name}|the number of legs {article} {name} has"
            )
            reply = f"{article.capitalize()} {name} has {LEGS[name]} legs."
        case _:
            name = chance.pick(list(YOUNG))
            article = _article(name)
            question = (
                f"what (is|do you call) (a baby {name}|the young of {article} {name}|a young {name}) "
                f"(called|)|what is a baby {name}"
                f"|(name|word) for a (baby|young) {name}|how is a (young|baby) {name} called"
            )
            reply = f"A young {name} is called a {YOUNG[name]}."
    return [(expand(chance, f"({question})"), reply)]


def _article(name: str) -> str:
    return "an" if name[0] in "aeiou" else "a"


def _plural(name: str) -> str:
    irregular = {"mouse": "mice", "sheep": "sheep", "fish": "fish", "fly": "flies"}
    return irregular.get(name, name + "s")


def opposite(chance: Chance) -> Thread:
    """A word's opposite."""
    word = chance.pick(list(OPPOSITES))
    question = expand(
        chance,
        "((what is|what's|tell me|name|what would be|which is|give me|do you know|say|) the "
        f"opposite (of|to) {word}|opposite of {word}"
        f"|what word is (the opposite of|opposite to) {word}|{word}, what is the opposite|what is "
        f"not {word}|the contrary of {word}"
        f"|which word means the opposite of {word}|what is the contrary of {word})",
    )
    return [(question, f"The opposite of {word} is {OPPOSITES[word]}.")]


def count(chance: Chance) -> Thread:
    """Counting up to 20."""
    words = "one two three four five six seven eight nine ten eleven twelve".split()
    last = chance.between(3, 12) if chance.happens(0.8) else chance.between(13, 20)
    written = words[last - 1] if last <= 12 and chance.happens(0.6) else str(last)
    question = expand(
        chance,
        "((count|count up|can you count|please count|let us count|count for me|now count) (to|up to|"
        f"until|from one to|from 1 to) {written}"
        "|(say|list|write|tell me|give me|name) (the|all|all the) numbers (from 1 to|from one to|up "
        f"to|until|1 to) {written})",
    )
    return [(question, ", ".join(map(str, range(1, last + 1))) + ".")]
