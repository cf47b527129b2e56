"""Finds the keywords of a JSON schema that cannot be compiled, and leaves them out.

Each keyword that may be at fault is compiled alone first, so that one pattern with a look-ahead costs
nothing but itself; only if the whole still does not compile, more is left out, the most expensive first.
Compiles nothing itself: it asks, within one budget of processor time for all questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.engine.grammar.compiler import Verdict
from runtime.engine.grammar.patterns import is_expression
from runtime.engine.grammar.subschemas import Path, Schema, walk

Check = Callable[[Schema, float], Verdict]
"""Compiles a schema within some seconds of processor time."""

UNSATISFIABLE = "Unsatisfiable"
TOO_COMPLEX = "it is too complex"
MAX_CHECKS = 96
"""Questions about one schema."""
BUDGET_S = 3.0
"""Processor time of all questions about one schema. Then everything that may be at fault is left out."""
_QUESTION_S = 1.0
"""Of one question; and what the questions about keywords leave for those about the rest."""
_LEAST_S = 0.25
"""With less, nothing is asked."""
_NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("string", ("pattern",)),
    ("string", ("format",)),
    ("string", ("minLength", "maxLength")),
    ("number", _NUMBER),
    ("array", ("minItems", "maxItems")),
    ("array", ("uniqueItems",)),
    ("array", ("contains", "minContains", "maxContains")),
    ("object", ("minProperties", "maxProperties")),
    ("object", ("propertyNames",)),
    ("object", ("dependentRequired", "dependencies")),
    ("object", ("dependentSchemas",)),
    ("object", ("unevaluatedProperties",)),
    ("array", ("unevaluatedItems",)),
    ("", ("not",)),
    ("", ("if", "then", "else")),
)
"""Keywords that are checked together, and the type that they belong to."""
_STAGES = (
    ("pattern", "patternProperties"),
    ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
    ("format", *_NUMBER),
    ("propertyNames", "uniqueItems", "contains", "not", "if", "then", "else", "oneOf"),
)
"""What is left out of the whole schema while it does not compile, in this order."""


@dataclass(frozen=True)
class Fault:
    """A keyword that cannot be enforced."""

    path: Path
    keyword: str
    reason: str

    def place(self) -> str:
        """Where it stands, for people."""
        return ".".join(map(str, (*self.path, self.keyword)))


@dataclass
class _Questions:
    """Asks the compiler, within bounds."""

    check: Check
    n_asked: int = 0
    left_s: float = BUDGET_S
    known: dict[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether no keyword is to be asked about any more."""
        return self.n_asked >= MAX_CHECKS or self.left_s < _QUESTION_S + _LEAST_S

    def ask(self, schema: Schema, reserved_s: float = _QUESTION_S) -> str:
        """Why the schema does not compile; that it is too complex, where no time is left to find out.

        Args:
            schema: a part of a schema, or all of it.
            reserved_s: what is not to be used up of the budget.
        """
        key = repr(schema)
        if key not in self.known:
            seconds = min(_QUESTION_S, self.left_s - reserved_s)
            if seconds < _LEAST_S:
                return TOO_COMPLEX
            self.n_asked += 1
            verdict = self.check(schema, seconds)
            self.left_s -= verdict.seconds
            self.known[key] = verdict.error
        return self.known[key]


def faults(schema: Schema, check: Check) -> list[Fault]:
    """The keywords that do not compile, each alone. As far as `MAX_CHECKS` questions find them."""
    questions = _Questions(check)
    return [fault for path, part in walk(schema) for fault in _faults_of(path, part, questions)]


def relaxed(schema: Schema, check: Check) -> Schema:
    """The schema without what does not compile, as much as there is; it may still not compile.

    Unchanged where it is wrong: with a pattern that is no regular expression, or a reference to
    elsewhere.
    """
    questions = _Questions(check)
    at_fault = []
    for path, part in walk(schema):
        for fault in _faults_of(path, part, questions):
            if fault.keyword == "$ref" or _is_no_pattern(part, fault):
                return schema
            at_fault.append(fault)
    made = _without(schema, at_fault)
    for stage in _STAGES:
        reason = questions.ask(made, reserved_s=0)
        if not reason or reason.startswith(UNSATISFIABLE):
            break
        made = _without_one_or_all(made, stage, questions)
    return made


def _is_no_pattern(schema: Schema, fault: Fault) -> bool:
    """Whether a pattern is at fault because it is no regular expression at all."""
    pattern = schema["pattern"] if fault.keyword == "pattern" else fault.keyword
    if fault.keyword != "pattern" and fault.path[-1:] != ("patternProperties",):
        return False
    return not is_expression(str(pattern))


def _faults_of(path: Path, schema: Schema, questions: _Questions) -> Iterator[Fault]:
    for kind, keywords in _GROUPS:
        group = {name: schema[name] for name in keywords if name in schema}
        if group and not questions.is_over:
            yield from _faults_in_group(path, _alone(schema, kind), group, questions)
    patterns = schema.get("patternProperties")
    for pattern in patterns if isinstance(patterns, dict) else ():
        if questions.is_over:
            return
        reason = questions.ask({"type": "object", "patternProperties": {pattern: {}}})
        if reason:
            yield Fault((*path, "patternProperties"), pattern, reason)
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#") and not questions.is_over:
        reason = questions.ask({"$ref": reference})
        if reason:
            yield Fault(path, "$ref", reason)


def _alone(schema: Schema, kind: str) -> Schema:
    """What a keyword is checked with: its type, and what it means nothing without."""
    if kind == "number":
        return {"type": "integer" if schema.get("type") == "integer" else "number"}
    if kind == "object" and {"minProperties", "maxProperties"} & schema.keys():
        names = [*(schema.get("properties") or ())] if isinstance(schema.get("properties"), dict) else []
        more = schema.get("additionalProperties", True) is not False
        return {"type": kind, "properties": {name: {} for name in names}, "additionalProperties": more}
    return {"type": kind} if kind else {}


def _faults_in_group(path: Path, alone: Schema, group: Schema, questions: _Questions) -> Iterator[Fault]:
    reason = questions.ask({**alone, **group})
    if not reason or reason.startswith(UNSATISFIABLE):
        return
    found = []
    for name, value in group.items():
        reason = questions.ask({**alone, name: value})
        if reason and not reason.startswith(UNSATISFIABLE):
            found.append(Fault(path, name, reason))
    rest = {name: value for name, value in group.items() if name not in {one.keyword for one in found}}
    reason = questions.ask({**alone, **rest}) if rest and found else reason
    if not found or (reason and not reason.startswith(UNSATISFIABLE)):
        found += [Fault(path, name, reason) for name in rest]
    yield from found


def _without(schema: Schema, left_out: Sequence[Fault]) -> Schema:
    """A copy of the schema without some keywords."""
    by_path: dict[Path, set[str]] = {}
    for fault in left_out:
        by_path.setdefault(fault.path, set()).add(fault.keyword)
    made: Schema = _copied(schema, (), by_path)
    return made


def _copied(value: Any, path: Path, left_out: Mapping[Path, set[str]]) -> Any:
    if isinstance(value, dict):
        names = left_out.get(path, ())
        return {
            name: _copied(item, (*path, name), left_out)
            for name, item in value.items()
            if name not in names
        }
    if isinstance(value, list):
        return [_copied(item, (*path, number), left_out) for number, item in enumerate(value)]
    return value


def _without_one_or_all(schema: Schema, stage: Sequence[str], questions: _Questions) -> Schema:
    """The schema without one keyword of a stage, if that is enough, or else without all of them."""
    found = [Fault(path, name, "") for path, part in walk(schema) for name in stage if name in part]
    for fault in found:
        if questions.is_over:
            break
        made = _without(schema, [fault])
        if not questions.ask(made):
            return made
    return _without(schema, found)
