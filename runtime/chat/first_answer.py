"""Asks the model server one question when it has been started: `python -m runtime.chat.first_answer`.

Prints the answer, its speed and the time to its first token. The server is asked directly, with its own
key: no user is created and nothing is recorded. An answer that does not come within seconds is left, and
is no failure: a large model on a small machine is slow.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from runtime.chat.client import ChatError, Client
from runtime.config import ConfigError, load
from runtime.plain_text import harmless

QUESTION = "Say hello in one sentence."
MOST_TOKENS = 40
PATIENCE_S = 15.0
"""After that the answer is cut off."""
SHORTEST_S = 0.1
"""Pieces that come within less time may have been sent together."""


@dataclass(frozen=True, kw_only=True)
class FirstAnswer:
    """An answer and how fast it came."""

    text: str
    tokens: int
    first_token_s: float
    """From the request to the first piece of text."""
    total_s: float
    """From the request to the last piece."""

    @property
    def tokens_per_second(self) -> float:
        """Of the tokens after the first; 0 if they came too quickly to tell."""
        spent_s = self.total_s - self.first_token_s
        return (self.tokens - 1) / spent_s if spent_s >= SHORTEST_S else 0


def ask(client: Client, *, clock: Callable[[], float] = time.monotonic) -> FirstAnswer:
    """Ask the question. Each piece of the stream counts as a token.

    Raises:
        ChatError: there is no answer.
    """
    began = clock()
    times: list[float] = []
    pieces: list[str] = []
    with closing(client.answer(client.model(), [{"role": "user", "content": QUESTION}])) as answer:
        for kind, text in answer:
            if kind == "text" and text:
                times.append(clock())
                pieces.append(text)
            if len(pieces) >= MOST_TOKENS or clock() - began > PATIENCE_S:
                break
    if not times:
        raise ChatError("the answer was empty")
    return FirstAnswer(
        text="".join(pieces),
        tokens=len(pieces),
        first_token_s=times[0] - began,
        total_s=times[-1] - began,
    )


def report(answer: FirstAnswer) -> str:
    """The lines to show: the question, the answer, and its figures."""
    words = " ".join(harmless(answer.text).split())
    speed = f", {answer.tokens_per_second:.0f} tokens/s" if answer.tokens_per_second else ""
    figures = (
        f"{answer.tokens} tokens in {answer.total_s:.2f} s, the first after {answer.first_token_s:.2f} s"
    )
    return f"asked   {QUESTION}\n        {words}\n        ({figures}{speed})"


def main() -> int:
    """Returns 0; 1 with the reason on stderr if there is no answer."""
    try:
        config = load()
        client = Client(url=config.backend_url, key=config.text("LLAMA_SERVER_API_KEY"))
        print(report(ask(client)))
    except (ChatError, ConfigError) as error:
        print(f"note: the model was asked a question and did not answer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
