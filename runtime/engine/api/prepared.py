"""What the preparation of a request comes to."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.engine.api.readers import Reader
from runtime.engine.api.shapes.shape import Shape
from runtime.engine.generation.generation import Generation
from runtime.engine.grammar.constraint import Grammar


@dataclass(frozen=True)
class Prepared:
    """A request that has passed all checks."""

    generations: list[Generation]
    """One for each choice of the response."""
    readers: list[Reader]
    """One for each generation."""
    shape: Shape
    """How the response is written."""
    is_stream: bool
    grammar: Grammar | None
    """The grammar of the generations. The caller has to compile it, which may take seconds."""
