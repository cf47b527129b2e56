"""Images in a prompt, as the scheduler sees them: positions with embeddings in place of tokens.

Each position has an id as a token has, so that whatever compares tokens tells images apart too. The ids
are negative, which no token is, and come from a hash of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]


@dataclass(eq=False)
class Picture:
    """An image, or a part of one, that a model reads in one piece."""

    ids: list[int]
    """One for each of its positions."""
    embeddings: Embeddings | None = None
    """Of shape (positions, width). Set before its generation is submitted."""
    is_whole: bool = False
    """Whether each position sees all others, also later ones: then all are evaluated in one step."""


@dataclass(frozen=True)
class Placed:
    """A picture in a prompt."""

    at: int
    """The position of its first embedding."""
    picture: Picture

    @property
    def end(self) -> int:
        return self.at + len(self.picture.ids)


def stretch(placed: Sequence[Placed], at: int) -> tuple[Placed | None, int | None]:
    """What stands at a position of a prompt, and where that ends.

    Args:
        placed: the prompt's pictures in ascending order.
        at: the position.

    Returns:
        The picture there, None if it is text; and the position after it, None if no picture follows.
    """
    for one in placed:
        if at < one.at:
            return None, one.at
        if at < one.end:
            return one, one.end
    return None, None
