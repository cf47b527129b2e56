"""What the marks in a model's raw text mean: where it thinks, where a call begins, what is left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Phase(Enum):
    """What a part of a model's text is."""

    CONTENT = "content"
    THINKING = "thinking"
    CALL = "call"


@dataclass(frozen=True, kw_only=True)
class Thinking:
    """How a model marks what it thinks before its response."""

    starts: Sequence[str]
    ends: Sequence[str]
    is_open: bool = False
    """Whether the prompt ends after a start."""
    is_forced: bool = False
    """Whether the response begins with `opening`, whatever the model wants."""
    budget: int | None = None
    """Tokens after which thinking is ended; None sets no bound."""
    opening: Sequence[int] = ()
    """The tokens of a start. A constraint lets them pass at the beginning of the response."""
    closing: Sequence[int] = ()
    """The tokens that end it."""
    after: Sequence[int] = ()
    """The tokens between thinking and a constrained response."""


@dataclass(frozen=True, kw_only=True)
class Markup:
    """The marks of one response. Stop sequences count in content only."""

    thinking: Thinking | None = None
    triggers: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Texts with which a call begins, and their tokens."""
    starts_only: bool = False
    """Whether a trigger counts only at the beginning of the content."""
    is_lazy: bool = False
    """Whether the constraint holds only from a trigger on; otherwise from the end of thinking."""
    begins_call: bool = False
    """Whether what follows thinking is calls from its beginning."""
    dropped: Sequence[str] = ()
    """Marks that are left out of content."""
    dropped_first: Sequence[str] = ()
    """The same, at the beginning of the content only."""
    shown: Mapping[int, bytes] = field(default_factory=dict)
    """The texts of control tokens that are marks, or parts of them."""
