"""Follows the marks in a response: divides its text into phases, and decides when its constraint holds.

One guide belongs to one response; a response without marks has none. For the scheduler's thread only.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from runtime.engine.generation.marks.markup import Markup, Phase, Thinking
from runtime.engine.generation.sampling.logits import LogitShaper
from runtime.engine.grammar.constraint import Constraint
from runtime.engine.text import overlap
from runtime.engine.vocabulary import Vocabulary

Span = tuple[Phase, str]
_Marks = dict[str, Callable[[str], None]]

_NONE = Thinking(starts=(), ends=())


class Guide:
    """The marks of one response.

    Args:
        markup: what the marks are.
        stops: texts that end the response where they stand in content.
        constraint: holds from a trigger on, or from the end of thinking.
        shaper: of the response; the guide tells it when the constraint holds.
        vocabulary: the model's.
    """

    def __init__(
        self,
        markup: Markup,
        stops: Sequence[str],
        constraint: Constraint | None,
        shaper: LogitShaper,
        vocabulary: Vocabulary,
    ) -> None:
        self._markup = markup
        self._thinking = thinking = markup.thinking or _NONE
        self._stops = [stop for stop in stops if stop]
        self._constraint = constraint
        self._holds_at_once = constraint is not None and not markup.is_lazy
        self._shaper = shaper
        self._vocabulary = vocabulary
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        """The end of the text so far, which may be the beginning of a mark."""
        self._spans: list[Span] = []
        self._forced: deque[int] = deque()
        self.n_thought = 0
        """Tokens in which the model has thought."""
        self._is_at_start = True
        """Whether the content so far is blank."""
        self._marks_known: tuple[Phase, bool, bool, _Marks] | None = None
        self.stopped_by: str | None = None
        """The stop sequence that has been found. No more text is returned after that."""
        self.phase = Phase.CONTENT
        if thinking.is_open:
            self.phase = Phase.THINKING
            self._check_budget()
        elif thinking.is_forced:
            self._forced.extend(thinking.opening)
        else:
            self._begin_content(also=thinking.opening[0] if thinking.opening else None)

    @property
    def forced(self) -> int | None:
        """The token that must come next, whatever the model's logits say; None lets it choose."""
        return self._forced[0] if self._forced else None

    def choose(self, token: int, *, is_end: bool) -> int:
        """Return the token to take where `token` has been sampled.

        It is another one where thinking would end the response without what the constraint demands, or
        where the token's text goes on after a mark in a way that the constraint forbids.
        """
        if self._constraint is None:
            return token
        if self.phase is Phase.THINKING and self._holds_at_once:
            if not is_end:
                return self._cut(token, self._thinking.ends)
            self._forced.extend(self._thinking.closing)
            return self._forced[0] if self._forced else token
        if self.phase is Phase.CONTENT and self._markup.is_lazy and not is_end:
            return self._cut(token, self._markup.triggers)
        return token

    def _cut(self, token: int, marks: Iterable[str]) -> int:
        """Return the token, or one that ends with the mark beyond which it would go."""
        piece = self._piece(token)
        before = self._held.encode() + self._decoder.getstate()[0]
        text = before + piece
        place = _first(text.decode("utf-8", "replace"), marks)
        if place is None:
            return token
        mark = place[1].encode()
        rest = text[text.index(mark) + len(mark) :]
        if not rest or (self._holds_at_once and not rest.strip()):
            return token
        following = self._vocabulary.continuing(rest.decode("utf-8", "replace"))
        replayed = [*self._markup.triggers.get(place[1], ()), *following]
        assert self._constraint is not None
        if self._constraint.allows(replayed):
            return token
        kept = piece[: len(piece) - len(rest)].decode("utf-8", "ignore")
        self._forced.extend(self._vocabulary.continuing(kept))
        return self._forced[0] if self._forced else token

    def _piece(self, token: int) -> bytes:
        return self._markup.shown.get(token) or self._vocabulary.pieces[token]

    def feed(self, token: int) -> None:
        """Add a token, which must not be one that ends the response."""
        if self._forced and self._forced.popleft() != token:
            self._forced.clear()
        if self._shaper.took_exception():
            self.phase = Phase.CONTENT
            self._forced.extend(self._thinking.opening[1:])
        self._held += self._decoder.decode(self._piece(token))
        self._settle()
        if self.phase is Phase.THINKING:
            self.n_thought += 1
            self._check_budget()

    def finish(self) -> None:
        """No more tokens come: what has been held back is text."""
        self._held += self._decoder.decode(b"", final=True)
        self._settle(is_final=True)
        if self.stopped_by is None:
            self._emit(self._held)
        self._held = ""

    def spans(self) -> list[Span]:
        """Return the text that has become certain since the call before, by phase."""
        spans, self._spans = self._spans, []
        return spans

    def _emit(self, text: str) -> None:
        if not text:
            return
        if self.phase is Phase.CONTENT and text.strip():
            self._is_at_start = False
        if self._spans and self._spans[-1][0] is self.phase:
            text = self._spans.pop()[1] + text
        self._spans.append((self.phase, text))

    @property
    def _is_spent(self) -> bool:
        """Whether the budget of thinking is spent, after some thinking."""
        budget = self._thinking.budget
        return budget is not None and 0 < self.n_thought >= budget

    def _check_budget(self) -> None:
        budget = self._thinking.budget
        if budget is not None and self.n_thought >= budget and not self._forced:
            self._forced.extend(self._thinking.closing)

    def _settle(self, *, is_final: bool = False) -> None:
        """Emit what is certain of the held text, and act on the marks in it."""
        while self.stopped_by is None and self._held:
            marks = self._marks()
            place = _first(self._held, marks)
            if place is None or self._may_be_call(place[0], marks, is_final=is_final):
                n_held = max((overlap(self._held, mark) for mark in marks), default=0)
                certain = len(self._held) - n_held
                self._emit(self._held[:certain])
                self._held = self._held[certain:]
                return
            at, mark = place
            self._emit(self._held[:at])
            self._held = self._held[at + len(mark) :]
            # What has just been emitted may have changed which marks count.
            self._marks().get(mark, self._emit)(mark)

    def _may_be_call(self, at: int, marks: _Marks, *, is_final: bool) -> bool:
        """Whether the mark at a place may be a part of a trigger that is not complete yet."""
        if is_final or self.phase is not Phase.CONTENT:
            return False
        open_triggers = [mark for mark in self._markup.triggers if mark in marks]
        n_open = max((overlap(self._held, mark) for mark in open_triggers), default=0)
        return n_open > 0 and len(self._held) - n_open <= at

    def _marks(self) -> _Marks:
        """What is looked for now, and what is done when it is found."""
        known, state = self._marks_known, (self.phase, self._is_at_start, self._is_spent)
        if known is None or known[:3] != state:
            known = self._marks_known = (*state, self._marks_now())
        return known[3]

    def _marks_now(self) -> _Marks:
        markup = self._markup
        if self.phase is Phase.CALL:
            return {}
        if self.phase is Phase.THINKING:
            return dict.fromkeys(self._thinking.ends, self._end_thinking)
        marks: _Marks = dict.fromkeys(self._stops, self._stop)
        marks |= dict.fromkeys(markup.dropped, self._drop)
        if self._is_at_start:
            marks |= dict.fromkeys(markup.dropped_first, self._drop)
        if self._is_at_start and not self._is_spent:
            marks |= dict.fromkeys(self._thinking.starts, self._begin_thinking)
        if self._is_at_start or not markup.starts_only:
            marks |= dict.fromkeys(markup.triggers, self._begin_call)
        return marks

    def _stop(self, mark: str) -> None:
        self.stopped_by, self._held = mark, ""

    def _drop(self, mark: str) -> None:
        """Leave the mark out."""

    def _begin_thinking(self, _: str) -> None:
        self.phase = Phase.THINKING

    def _end_thinking(self, _: str) -> None:
        self._forced.clear()
        if self._holds_at_once:
            self._held = self._held.lstrip()
        self._begin_content(self._held)

    def _begin_content(self, text: str = "", *, also: int | None = None) -> None:
        """Thinking has ended, or there is none. `text` is what is known of the content."""
        self.phase = Phase.CALL if self._markup.begins_call else Phase.CONTENT
        if self._constraint is None or self._markup.is_lazy:
            return
        after = () if also is not None or text or not self.n_thought else self._thinking.after
        self._forced.extend(after)
        self._shaper.constrain(self._constraint, skip=len(after), also=also)
        for token in self._vocabulary.continuing(text):
            self._shaper.advance(token)

    def _begin_call(self, mark: str) -> None:
        self.phase = Phase.CALL
        rest, self._held = self._held, mark + self._held
        if self._constraint is not None and self._markup.is_lazy:
            self._shaper.constrain(self._constraint)
            for token in (*self._markup.triggers[mark], *self._vocabulary.continuing(rest)):
                self._shaper.advance(token)


def _first(text: str, marks: Iterable[str]) -> tuple[int, str] | None:
    """The first mark in a text and its place; the longest of those at the same place."""
    found = [(at, -len(mark), mark) for mark in marks if (at := text.find(mark)) >= 0]
    if not found:
        return None
    at, _, mark = min(found)
    return at, mark
