"""What a client is told of a schema or grammar that cannot be compiled."""

from __future__ import annotations

from runtime.engine import errors
from runtime.engine.grammar.relaxing import Fault
from runtime.engine.grammar.subschemas import Path

_REASON_CHARACTERS = 300


def refusal(param: str, reason: str) -> errors.Refusal:
    """The error of a schema or grammar that llguidance does not take.

    Args:
        param: the request's field that it came in.
        reason: what llguidance says.
    """
    if reason.startswith("NoExtension"):
        reason = "no text satisfies it"
    elif reason.startswith("panic"):
        reason = "the compiler fails on it"
    reason = _one_line(reason)
    return errors.invalid(
        param, f"{param} cannot be used to constrain the response: {reason}", code="invalid_grammar"
    )


def unenforceable(param: str, fault: Fault) -> errors.Refusal:
    """The error of a strict schema with a keyword that cannot be enforced."""
    reason = _one_line(fault.reason.rpartition("error: ")[2])
    return errors.invalid(
        param,
        f"{param}: {fault.place()} cannot be enforced: {reason}. Leave it out, or send the schema "
        "without strict.",
        code="invalid_grammar",
    )


def not_well_formed(param: str, path: Path, form: str) -> errors.Refusal:
    """The error of a schema that has something else where a form is wanted."""
    place = ".".join(map(str, path))
    return errors.invalid(param, f"{param}: {place} must be {form}.", code="invalid_grammar")


def _one_line(reason: str) -> str:
    return " ".join(reason.replace("<non-verbose/>", "").split())[:_REASON_CHARACTERS]
