"""The model: llama_cpp.Llama with a context of many sequences, and a scheduler that generates.

The base class loads the file and reads its metadata. What it generates with is not used: its loop knows
one sequence. Nor are its chat handlers: it makes one of each of the file's templates, and fails if one
does not compile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llama_cpp
from llama_cpp import _internals, llama_chat_format

from runtime.engine.generation.admission import SlotTable
from runtime.engine.generation.context import Context
from runtime.engine.generation.scheduler import Scheduler
from runtime.engine.grammar.constraint import Constraints
from runtime.engine.metrics import Metrics
from runtime.engine.templates.chat_template import ChatTemplate
from runtime.engine.threads import StepThreads
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.abort import AbortSwitch
from runtime.engine.watchdog.progress import Progress
from runtime.machine.load import OtherLoad


class GuardedLlama(llama_cpp.Llama):
    """One loaded model.

    Args:
        n_slots: responses at a time, each with a context of `n_ctx` tokens.
        template: which chat template: `chat_format` of `templates/chat_template.py`.
        cache_bytes: the memory limit of saved conversations, see `prefix_cache.py`.
        flash_attn: use flash attention; None: where llama.cpp has it for the model and the device.
        looks_up: guess tokens by prompt lookup.
        adjusts_threads: generate with fewer threads while other processes are busy.
        metrics: counts tokens and seconds.
        progress: is notified of each step.
        kwargs: as llama_cpp.Llama's.
    """

    def __init__(
        self,
        *,
        n_slots: int,
        template: str | None,
        cache_bytes: int,
        flash_attn: bool | None,
        looks_up: bool,
        adjusts_threads: bool,
        metrics: Metrics,
        progress: Progress,
        **kwargs: Any,
    ) -> None:
        with _context_of(n_slots, decides=flash_attn is None), _without_templates():
            super().__init__(flash_attn=bool(flash_attn), **kwargs)
        self._release_single_use()
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = Vocabulary(vocab)
        self.chat_template = ChatTemplate(self.metadata, self.vocabulary, template)
        self.constraints = Constraints(vocab, self.vocabulary)
        context = Context(
            self.ctx,
            n_vocab=self.vocabulary.n_tokens,
            can_trim=not (self._is_recurrent or self._is_hybrid),
        )
        table = SlotTable(context, n_slots=n_slots, n_tokens=self.n_ctx(), cache_bytes=cache_bytes)
        self.scheduler = Scheduler(
            context,
            table,
            self.vocabulary,
            n_batch=int(llama_cpp.llama_n_batch(self.ctx)),
            switch=AbortSwitch(self.ctx),
            metrics=metrics,
            progress=progress,
            looks_up=looks_up,
            threads=StepThreads(
                generating=self.n_threads,
                reading=self.n_threads_batch,
                apply=context.set_threads,
                other_cores=OtherLoad().cores if adjusts_threads else None,
            ),
        )
        metrics.slots(n_slots)
        self.scheduler.start()

    def n_ctx(self) -> int:
        """Tokens of one sequence's context."""
        return int(llama_cpp.llama_n_ctx_seq(self.ctx))

    def n_ubatch(self) -> int:
        """Tokens that are evaluated in one piece."""
        return int(llama_cpp.llama_n_ubatch(self.ctx))

    def _release_single_use(self) -> None:
        """Free what the base class has allocated for its own single sequence."""
        self._batch.close()  # type: ignore[no-untyped-call]
        del self.scores, self.input_ids, self._candidates


@contextmanager
def _context_of(n_sequences: int, *, decides: bool) -> Iterator[None]:
    """Have llama_cpp.Llama make a context of so many sequences, which it has no argument for; nor for
    one that `decides` by itself whether to use flash attention.

    Each has keys and values of its own: in a unified cache every token attends over everybody's.
    """

    class ContextOfSlots(_internals.LlamaContext):
        def __init__(self, *, params: Any, **more: Any) -> None:
            ours = type(params).from_buffer_copy(params)
            ours.n_ctx *= n_sequences
            ours.n_seq_max = n_sequences
            ours.kv_unified = False
            if decides:
                ours.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO
            # One token for each sequence at least.
            ours.n_batch = max(ours.n_batch, n_sequences)
            ours.no_perf = True
            super().__init__(params=ours, **more)

    internals: Any = _internals
    stock = internals.LlamaContext
    internals.LlamaContext = ContextOfSlots
    try:
        yield
    finally:
        internals.LlamaContext = stock


class _NoTemplate:
    """Stands in for llama_cpp's chat templates while a model is loaded."""

    def __init__(self, **_: Any) -> None:
        pass

    def to_chat_handler(self) -> None:
        """Return no handler: `templates/` renders."""


@contextmanager
def _without_templates() -> Iterator[None]:
    """Have llama_cpp.Llama compile no chat template."""
    formats: Any = llama_chat_format
    stock = formats.Jinja2ChatFormatter
    formats.Jinja2ChatFormatter = _NoTemplate
    try:
        yield
    finally:
        formats.Jinja2ChatFormatter = stock
