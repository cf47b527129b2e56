"""The model: llama_cpp.Llama with a generation that nobody's request can kill, block or silence.

`GuardedLlama` overrides public methods of `llama_cpp.Llama`. It generates with the base class's
`generate` and `eval`, and does itself what the base class's `create_completion` does around them:
text, stop sequences, lengths, probabilities. Leaves to `response_shapes.py` what an answer looks like.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import llama_cpp
import numpy as np
from starlette.responses import Response

from runtime.engine import errors
from runtime.engine.api.response_shapes import ChatShape, CompletionShape, Piece, Shape, TokenLogprob
from runtime.engine.errors import Refusal
from runtime.engine.generation.generation import End, Generation, current
from runtime.engine.generation.logits import LogitShaper
from runtime.engine.generation.prefix_cache import SavedPrefixes, common_prefix
from runtime.engine.generation.text import TextAssembler
from runtime.engine.grammar.constraint import Constraints
from runtime.engine.http.metrics import Metrics
from runtime.engine.vocabulary import Vocabulary
from runtime.engine.watchdog.abort import AbortSwitch
from runtime.engine.watchdog.progress import Progress

_SAMPLING = {
    "temperature": "temp",
    "top_p": "top_p",
    "min_p": "min_p",
    "top_k": "top_k",
    "repeat_penalty": "repeat_penalty",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "mirostat_mode": "mirostat_mode",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
"""The stock app's names, and those of llama_cpp.Llama.generate."""


class GuardedLlama(llama_cpp.Llama):
    """One loaded model.

    Args:
        cache_bytes: the bound of saved conversations, see `prefix_cache.py`.
        metrics: counts tokens and seconds.
        progress: told of each step.
        kwargs: as llama_cpp.Llama's.
    """

    def __init__(self, *, cache_bytes: int, metrics: Metrics, progress: Progress, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.vocabulary = Vocabulary(vocab)
        self.constraints = Constraints(vocab, self.vocabulary)
        self._progress = progress
        self.active: Generation | None = None
        """The answer that has the model."""
        self._ends = self.vocabulary.ends()
        self._switch = AbortSwitch(self.ctx)
        self._prefixes = SavedPrefixes(self.ctx, capacity_bytes=cache_bytes)
        self._metrics = metrics
        # The stock app has a lock of its own, but lets go of it when a task is cancelled while its
        # thread runs on. Two threads in one context would crash.
        self._turn = threading.Lock()
        self._stopping = False

    def eval(self, tokens: Sequence[int]) -> None:
        """Evaluate tokens batch by batch, each of which is progress.

        Raises:
            RuntimeError: llama.cpp failed, or was told to abort.
        """
        try:
            for start in range(0, len(tokens), self.n_batch):
                if self.active is not None and self.active.is_over():
                    raise RuntimeError("ended between two batches")
                super().eval(tokens[start : start + self.n_batch])
                self._progress.step()
        except BaseException:
            # The logits of before are gone: whoever comes next must evaluate one token at least.
            self._requires_eval = True
            raise

    def stop(self) -> None:
        """End the answer under way, and each that begins from now on."""
        self._stopping = True
        if (active := self.active) is not None:
            active.end(End.STOPPING)

    @property
    def is_aborting(self) -> bool:
        """Whether the answer under way has been told to end, which llama.cpp logs as errors."""
        return self.active is not None and self.active.ended_by is not None

    def end_overdue(self) -> None:
        """End the answer under way if its time is up: in a prompt, it looks at no clock itself."""
        if (active := self.active) is not None:
            active.is_over()

    def create_completion(  # type: ignore[override]
        self, prompt: object = "", **kwargs: Any
    ) -> Any:
        """Answer the running request (`generation.current`), which holds the prompt and all limits.

        Args:
            prompt: not looked at.
            kwargs: as the base class's; sampling, `stream` and `model` are.
        """
        generation = current.get()
        return self._answer(generation, CompletionShape(generation, str(kwargs["model"])), kwargs)

    def create_chat_completion(  # type: ignore[override]
        self, messages: object = (), **kwargs: Any
    ) -> Any:
        """As `create_completion`, with a chat's answer; `messages` are not looked at either."""
        generation = current.get()
        return self._answer(generation, ChatShape(generation, str(kwargs["model"])), kwargs)

    def _answer(self, generation: Generation, shape: Shape, kwargs: dict[str, Any]) -> Any:
        sampling = {ours: kwargs[theirs] for theirs, ours in _SAMPLING.items()}
        pieces = generation.pieces = self.pieces(generation, seed=kwargs["seed"], **sampling)
        if kwargs["stream"]:
            return shape.chunks(pieces)
        try:
            return shape.whole(pieces)
        except Refusal as refusal:
            # Raised, the stock app would log a trace of it. `exchange.py` tells the client.
            return Response(status_code=refusal.status)

    def pieces(
        self, generation: Generation, *, seed: int | None = None, **sampling: Any
    ) -> Generator[Piece, None, None]:
        """Generate an answer; waits until the model is free.

        The last piece has a finish_reason. A client that left gets no more pieces.

        Args:
            generation: what is asked for; its `completion_tokens` are kept up to date.
            seed: of the sampler; None draws one.
            sampling: as llama_cpp.Llama.generate's.

        Raises:
            Refusal: the constraint became too complex, or the server is being stopped.
            RuntimeError: llama.cpp failed.
        """
        with self._having_the_model(generation), _noting_failure(generation):
            self.set_seed(secrets.randbits(31) if seed is None else seed & 0x7FFFFFFF)
            assembler = TextAssembler(generation.prompt.stops)
            pending: list[TokenLogprob] = []
            finish_reason = "length"
            for token in self._tokens(generation, sampling):
                if self.vocabulary.is_end(token):
                    finish_reason = "stop"
                    break
                generation.completion_tokens += 1
                if generation.limits.top_logprobs is not None:
                    pending.append(self._logprob(token, generation.limits.top_logprobs))
                text = assembler.feed(self.vocabulary.piece(token))
                if text:
                    yield Piece(text=text, logprobs=pending)
                    pending = []
                if assembler.stopped:
                    finish_reason = "stop"
                    break
                if generation.completion_tokens >= generation.limits.max_tokens:
                    break
            if generation.ended_by is End.LEFT:
                return
            if generation.ended_by is End.STOPPING:
                raise errors.stopping()
            if rest := assembler.finish():
                yield Piece(text=rest, logprobs=pending)
                pending = []
            yield Piece(text="", logprobs=pending, finish_reason=finish_reason)

    @contextmanager
    def _having_the_model(self, generation: Generation) -> Iterator[None]:
        with self._turn:
            self.active = generation
            generation.begin(self._switch)
            if self._stopping:
                generation.end(End.STOPPING)
            self._progress.step()
            self._metrics.generating(True)
            try:
                yield
            finally:
                self._metrics.generating(False)
                self._progress.rest()
                self.active = None
                generation.release()

    def _tokens(self, generation: Generation, sampling: dict[str, Any]) -> Iterator[int]:
        """The tokens of an answer, an end token included, until it is over."""
        prompt = list(generation.prompt.tokens)
        limits = generation.limits
        shaper = LogitShaper(
            n_prompt=len(prompt),
            bias=limits.logit_bias,
            min_tokens=limits.min_tokens,
            ends=self._ends,
            constraint=generation.constraint,
        )
        began = time.perf_counter()
        reused = self._fetch_prefix(prompt)
        first_at = None
        try:
            with closing(self.generate(prompt, logits_processor=shaper.as_list(), **sampling)) as tokens:
                for token in tokens:
                    if first_at is None:
                        first_at = time.perf_counter()
                    if shaper.error is not None:
                        raise shaper.error
                    if generation.is_over():
                        return
                    yield token
        except RuntimeError:
            if generation.ended_by is None:
                raise
        finally:
            self._metrics.count(
                generation,
                reused=reused,
                prompt_s=(first_at or time.perf_counter()) - began,
                generation_s=0.0 if first_at is None else time.perf_counter() - first_at,
            )

    def _fetch_prefix(self, prompt: list[int]) -> int:
        """Bring back a saved state where one helps; the tokens that need no evaluation."""
        live = self.input_ids[: self.n_tokens]
        restored = self._prefixes.exchange(live, prompt)
        if restored is not None:
            self.n_tokens = len(restored)
            self.input_ids[: self.n_tokens] = restored
            self._requires_eval = True
            live = restored
        self._metrics.saved_bytes(self._prefixes.n_bytes)
        return common_prefix(live, np.asarray(prompt, dtype=np.intc))

    def _logprob(self, token: int, top: int) -> TokenLogprob:
        """The token's probability by the logits it was sampled from, and those of the likeliest."""
        pointer = llama_cpp.llama_get_logits_ith(self.ctx, -1)
        logits = np.ctypeslib.as_array(pointer, shape=(self.vocabulary.n_tokens,)).astype(np.float64)
        logprobs = logits - logits.max()
        logprobs -= np.log(np.exp(logprobs).sum())
        best = np.argpartition(-logprobs, min(top, len(logprobs) - 1))[:top]
        best = best[np.argsort(-logprobs[best])]
        piece = self.vocabulary.piece
        return TokenLogprob(
            piece=piece(token),
            logprob=float(logprobs[token]),
            top=[(piece(int(other)), float(logprobs[other])) for other in best],
        )


@contextmanager
def _noting_failure(generation: Generation) -> Iterator[None]:
    """The stock app tells no more of an exception than a text of its own making."""
    try:
        yield
    except Exception as error:
        generation.failure = error
        raise
