"""The question that `start` asks: its answer, its figures, and that it never spoils a start."""

from __future__ import annotations

from itertools import count

import pytest

from runtime.chat import first_answer
from runtime.chat.client import ChatError
from runtime.chat.first_answer import FirstAnswer, report


class Pieces:
    """A client whose answer consists of these pieces."""

    def __init__(self, *pieces: tuple[str, str]) -> None:
        self.pieces = pieces

    def model(self) -> str:
        return "m"

    def answer(self, _model: str, _messages: object) -> object:
        return (piece for piece in self.pieces)


def ask(*pieces: tuple[str, str], step_s: float = 0.5) -> FirstAnswer:
    ticks = count()
    return first_answer.ask(Pieces(*pieces), clock=lambda: next(ticks) * step_s)  # type: ignore[arg-type]


def test_the_answer_comes_with_its_speed() -> None:
    """Time to the first token, tokens and tokens per second; the queue's comments are no tokens."""
    answer = ask(("comment", "queued"), *[("text", f" word{number}") for number in range(11)])
    assert answer.tokens == 11
    assert answer.tokens_per_second == pytest.approx(10 / (answer.total_s - answer.first_token_s))
    shown = report(answer)
    assert "word0 word1 word2" in shown
    assert f"the first after {answer.first_token_s:.2f} s" in shown
    assert "tokens/s" in shown


def test_a_burst_has_no_speed() -> None:
    """Pieces that came together say nothing about tokens per second."""
    answer = ask(*[("text", "a")] * 5, step_s=0.001)
    assert answer.tokens_per_second == 0
    assert "tokens/s" not in report(answer)


def test_a_long_or_slow_answer_is_left() -> None:
    """After 40 tokens, or 15 seconds; what has come is shown."""
    assert ask(*[("text", "a ")] * 1000, step_s=0.001).tokens == first_answer.MOST_TOKENS
    assert ask(*[("text", "a ")] * 1000, step_s=4).tokens < 5


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A model may say anything."""
    shown = report(ask(("text", "a\x1b[2J\nb")))
    assert "\x1b" not in shown
    assert "a[2J b" in shown


def test_an_empty_answer_is_said_to_be_empty() -> None:
    """It is no success."""
    with pytest.raises(ChatError, match="empty"):
        ask(("comment", "queued"))


def test_a_server_that_does_not_answer_is_no_failure_of_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that only embeds refuses the question: that is a note, in one line."""

    def refuse(_client: object) -> FirstAnswer:
        raise ChatError("this model only makes embeddings")

    monkeypatch.setattr(first_answer, "ask", refuse)
    assert first_answer.main() == 1
    assert capsys.readouterr().err.count("\n") == 1
