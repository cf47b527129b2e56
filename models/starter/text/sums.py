"""Arithmetic: sums and differences up to twenty, and the times table. The rest is too large."""

from __future__ import annotations

from models.starter.text.facts import Thread
from models.starter.text.wording import Chance, expand

LARGEST = 20
TOO_LARGE = "That is too large for me: I am only a small starter model, and can add up to twenty."
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen "
    "eighteen nineteen twenty"
).split()
_SIGNS = {
    "+": ("+", "+", "plus", "plus", "and", "added to"),
    "-": ("-", "-", "minus", "minus", "less"),
    "*": ("*", "x", "times", "times", "multiplied by", "\u00d7"),
    "/": ("/", "divided by", "divided by", ":", "\u00f7"),
}
_FRAMES = (
    "(what is|what's|how much is|what is|calculate|compute|work out|what does|tell me|whats|add up|"
    "solve|what are|how many is|can you do|do|give me) SUM",
    "(what is|what's|how much is) SUM",
    "(what is|how much is) SUM",
    "SUM", "SUM", "SUM =", "SUM = ?",
    "(tell me|do you know|can you tell me|can you say|say|show me) (what|how much) SUM (is|makes|"
    "gives|comes to|equals|are)",
    "(can you|could you|please|would you|will you) (work out|calculate|compute|add|solve|do|find|"
    "tell me|figure out) SUM( for me|)",
    "what (do you get for|do I get for|is the result of|comes out of|is the answer to|do I get from|"
    "do you get from|is the value of) SUM",
    "SUM (is|makes|gives|equals|is how much|is what|makes what|gives what|makes how much|equals what|"
    "equals how much)",
    "(how much|what) (does SUM make|do I get with SUM|is SUM then|does SUM give|does SUM equal)",
    "(and|and what is|then|now|and how much is) SUM",
)  # fmt: skip


def arithmetic(chance: Chance) -> Thread:
    """One or several small calculations, or one that is too large."""
    thread = []
    while True:
        thread.append(_one(chance))
        if not chance.happens(0.15):
            return thread


def _one(chance: Chance) -> tuple[str, str]:
    sign, left, right, result = _operands(chance)
    shown = f"{left} {sign} {right} = {result}." if result is not None else TOO_LARGE
    said = chance.pick(_SIGNS[sign])
    a, b = (_number(chance, left), _number(chance, right))
    glue = "" if len(said) == 1 and said != "x" and chance.happens(0.4) else " "
    if not (a + b).isdigit() and len(said) == 1:
        said, glue = {"+": "plus", "-": "minus"}.get(said, said), " "
    question = expand(chance, chance.pick(_FRAMES)).replace("SUM", f"{a}{glue}{said}{glue}{b}")
    if sign == "+" and chance.happens(0.08):
        question = expand(
            chance, f"(what is|calculate|tell me|find|give me) the sum of {a} and {b}|"
        ).strip("|")
    if sign == "-" and chance.happens(0.08):
        question = expand(chance, f"(take|subtract) {b} from {a}")
    if sign == "*" and chance.happens(0.06):
        question = expand(chance, f"(what is|calculate|tell me) the product of {a} and {b}")
    return question, shown


def _operands(chance: Chance) -> tuple[str, int, int, int | None]:
    """A sign and two numbers, and the result where it is to be known."""
    kind = chance.below(100)
    if kind < 45:
        result = chance.between(0, LARGEST)
        left = chance.between(0, result)
        return "+", left, result - left, result
    if kind < 70:
        left = chance.between(0, LARGEST)
        right = chance.between(0, left)
        return "-", left, right, left - right
    if kind < 88:
        left, right = chance.between(0, 10), chance.between(0, 10)
        return "*", left, right, left * right
    return chance.pick("+-*/"), chance.between(LARGEST + 1, 9999), chance.between(3, 9999), None


def _number(chance: Chance, number: int) -> str:
    return _WORDS[number] if number <= 20 and chance.happens(0.15) else str(number)
