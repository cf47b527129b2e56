"""Puts new sequences into slots, and reuses the prefix of their prompts that is evaluated already.

Owns the slots and the saved states. `decisions.choose_place` chooses the slot and the source of the
prefix. Only the scheduler's thread may use this module.
"""

from __future__ import annotations

import numpy as np

from runtime.engine.generation.context import Context, Tokens
from runtime.engine.generation.decisions import (
    MIN_REUSE,
    Place,
    SlotView,
    choose_place,
    moved_into_gap,
)
from runtime.engine.generation.generation import Generation
from runtime.engine.generation.prefix_cache import Saved, SavedPrefixes
from runtime.engine.generation.slots import Sequence, Slot, lendable


class SlotTable:
    """All slots of a context.

    Args:
        context: the context.
        n_slots: how many sequences it has.
        n_tokens: the context length of each sequence.
        cache_bytes: the memory limit of all saved states.
    """

    def __init__(self, context: Context, *, n_slots: int, n_tokens: int, cache_bytes: int) -> None:
        self._context = context
        self.slots = [Slot(key, n_tokens) for key in range(n_slots)]
        self._prefixes = SavedPrefixes(context, capacity_bytes=cache_bytes)

    @property
    def saved_bytes(self) -> int:
        return self._prefixes.n_bytes

    @property
    def n_free(self) -> int:
        return sum(slot.is_free for slot in self.slots)

    def place(self, generation: Generation, tokens: Tokens | None = None) -> Slot:
        """Choose a slot for a generation and set its prompt there. At least one slot must be free.

        `tokens`: those of one that goes on, its prompt and what it has generated.
        `slot.n_past` tells how many of the prompt's tokens need no evaluation.
        """
        prompt = np.asarray(generation.prompt.tokens if tokens is None else tokens, dtype=np.int32)
        tag, n_shared = generation.user.tag, generation.prompt.n_shared
        is_scored = generation.prompt.is_scored and tokens is None
        saved, n_saved = (None, 0) if is_scored else self._prefixes.best(prompt, tag, n_shared)
        views = [
            SlotView(
                key=slot.key,
                is_free=slot.is_free,
                n_held=slot.n_past,
                n_reusable=0 if is_scored else self._reusable(slot, prompt, tag, n_shared),
                is_foreign=slot.n_past > 0 and slot.tag != tag,
                used_at=slot.used_at,
            )
            for slot in self.slots
        ]
        place = choose_place(views, n_saved)
        slot = self.slots[place.slot]
        if place.from_saved:
            assert saved is not None
            n_past = self._restored(slot, saved, n_saved)
        else:
            n_past = self._filled(slot, place, views)
        slot.tag, slot.n_shared = tag, n_shared
        slot.set_tokens(prompt, n_past=n_past)
        return slot

    def _reusable(self, slot: Slot, prompt: Tokens, tag: str, n_shared: int) -> int:
        length = slot.lend(prompt, tag, n_shared)
        return length if self._context.can_trim or length == slot.n_past else 0

    def _restored(self, slot: Slot, saved: Saved, length: int) -> int:
        self._prefixes.save(slot, keep=saved)
        restored = self._prefixes.restore(saved, slot)
        return length if restored and self._context.trim(slot.key, length) else 0

    def _filled(self, slot: Slot, place: Place, views: list[SlotView]) -> int:
        """Fill the slot with the prefix that its source holds. Returns the length in tokens."""
        source = slot.key if place.source is None else place.source
        length = views[source].n_reusable
        if source == slot.key:
            if slot.n_past - length >= MIN_REUSE:
                self._prefixes.save(slot)
            return length if self._context.trim(slot.key, length) else 0
        self._prefixes.save(slot)
        copied = self._context.copy(source, slot.key)
        return length if copied and self._context.trim(slot.key, length) else 0

    def follow(self, sequence: Sequence) -> None:
        """Let a new sequence wait for one that is about to evaluate a longer common prefix."""
        leader, n_led = self._leader(sequence.slot)
        # A batch's line may be paused, and its prompt waits for those of requests.
        if leader is None or sequence.generation.user.is_batch or not leader.generation.user.is_batch:
            sequence.leader, sequence.n_led = leader, n_led

    def _leader(self, slot: Slot) -> tuple[Sequence | None, int]:
        """Find the running sequence to wait for, and the length of the common prefix."""
        best, best_length = None, slot.n_past + MIN_REUSE - 1
        for other in self.slots:
            if other is slot or other.sequence is None or other.sequence.leader is not None:
                continue
            length = self._common(other.known, other, slot)
            if length > max(best_length, other.n_past) and self._context.can_trim:
                best, best_length = other.sequence, length
        return best, best_length

    def copy_from_leaders(self) -> None:
        """Copy a common prompt prefix to the sequences that wait for another one to evaluate it."""
        for slot in self.slots:
            sequence = slot.sequence
            leader = None if sequence is None else sequence.leader
            if sequence is None or leader is None:
                continue
            if leader.slot.n_past < sequence.n_led and not leader.has_ended:
                continue
            sequence.leader = None
            if self._adopted(slot, leader.slot):
                sequence.generation.prompt_tokens = sequence.generation.cached_tokens = slot.n_past

    def _adopted(self, slot: Slot, source: Slot) -> bool:
        """Copy the common prefix from another slot, if that saves work. Returns whether it did."""
        length = self._common(source.held, source, slot)
        if length < slot.n_past + MIN_REUSE:
            return False
        copied = self._context.copy(source.key, slot.key) and self._context.trim(slot.key, length)
        slot.n_past = length if copied else 0
        return copied

    def _common(self, tokens: Tokens, other: Slot, slot: Slot) -> int:
        n_shared = min(other.n_shared, slot.n_shared)
        return lendable(tokens, slot.known, same=other.tag == slot.tag, n_shared=n_shared)

    def close_gap(self) -> None:
        """Move a sequence into a gap: llama.cpp computes only consecutive ids together."""
        free = [slot.key for slot in self.slots if slot.is_free]
        taken = [slot.key for slot in self.slots if not slot.is_free]
        if (move := moved_into_gap(taken, free)) is not None:
            self._move(self.slots[move[0]], self.slots[move[1]])

    def _move(self, source: Slot, target: Slot) -> None:
        """Move a sequence to a free slot, unless its state cannot be copied."""
        sequence = source.sequence
        assert sequence is not None
        self._prefixes.save(target)
        if not self._context.copy(source.key, target.key):
            target.set_tokens((), n_past=0)
            return
        target.set_tokens(source.known, n_past=source.n_past)
        target.tag, target.n_shared = source.tag, source.n_shared
        target.sequence, sequence.slot = sequence, target
        source.release()
        self.empty(source)

    def rewind(self, slot: Slot) -> bool:
        """Restore a slot to `n_past` tokens after a failed step. False: it must evaluate all again."""
        if self._context.trim(slot.key, slot.n_past):
            return True
        slot.n_past = 0
        return False

    def empty(self, slot: Slot) -> None:
        """Forget what is in a slot."""
        self._context.clear(slot.key)
        slot.n_past = 0
        if slot.is_free:
            slot.n_tokens = 0
