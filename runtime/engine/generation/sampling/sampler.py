"""How a token is drawn from logits: penalties in numpy, the rest by a chain of llama.cpp's samplers.

llama.cpp's own penalty sampler goes through the whole vocabulary; only the tokens of its window
change, and in single precision numpy gives them the same bits.
"""

from __future__ import annotations

import secrets
from collections import deque

import llama_cpp
import numpy as np

from runtime.engine.generation.context import Context, Logits
from runtime.engine.generation.generation import Sampling

WINDOW = 64
"""The number of last tokens of a response that are penalized."""
_MIROSTAT_M = 100


class Penalties:
    """Makes what a response has just said less likely."""

    def __init__(self, sampling: Sampling) -> None:
        self._repeat = np.single(sampling.repeat_penalty)
        self._frequency = np.single(sampling.frequency_penalty)
        self._presence = np.single(sampling.presence_penalty)
        self._is_needed = bool(self._repeat != 1 or self._frequency or self._presence)
        self._counts_matter = bool(self._frequency or self._presence)
        self._window: deque[int] = deque()
        self._counts: dict[int, int] = {}
        """How often each token occurs in the window."""

    def apply(self, logits: Logits) -> None:
        """Change logits of shape (vocabulary,) in place."""
        counts = self._counts
        if not counts:
            return
        tokens = np.fromiter(counts, dtype=np.intp, count=len(counts))
        values = logits[tokens]
        values = np.where(values <= 0, values * self._repeat, values / self._repeat)
        if self._counts_matter:
            numbers = np.fromiter(counts.values(), dtype=np.single, count=len(counts))
            values -= numbers * self._frequency + self._presence
        logits[tokens] = values

    def accept(self, token: int) -> None:
        """Add a token to the window."""
        if not self._is_needed:
            return
        counts, window = self._counts, self._window
        window.append(token)
        counts[token] = counts.get(token, 0) + 1
        if len(window) > WINDOW:
            oldest = window.popleft()
            if counts[oldest] == 1:
                del counts[oldest]
            else:
                counts[oldest] -= 1


class Sampler:
    """Draws the tokens of one response. `close` frees what llama.cpp holds for it."""

    def __init__(self, context: Context, sampling: Sampling) -> None:
        self._context = context
        self._penalties = Penalties(sampling)
        self._chain = None if sampling.temperature == 0 else _chain(sampling, context.n_vocab)

    def sample(self, row: int, logits: Logits) -> int:
        """Sample a token from the logits of a batch's row. Changes the logits."""
        self._penalties.apply(logits)
        token = int(logits.argmax()) if self._chain is None else self._context.sample(self._chain, row)
        self._penalties.accept(token)
        return token

    def close(self) -> None:
        if self._chain is not None:
            llama_cpp.llama_sampler_free(self._chain)
            self._chain = None


def _chain(sampling: Sampling, n_vocab: int) -> int:
    seed = secrets.randbits(31) if sampling.seed is None else sampling.seed & 0x7FFFFFFF
    params = llama_cpp.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = llama_cpp.llama_sampler_chain_init(params)
    tau, eta = sampling.mirostat_tau, sampling.mirostat_eta
    if sampling.mirostat_mode == 1:
        parts = [llama_cpp.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, _MIROSTAT_M)]
    elif sampling.mirostat_mode == 2:
        parts = [llama_cpp.llama_sampler_init_mirostat_v2(seed, tau, eta)]
    else:
        parts = [
            llama_cpp.llama_sampler_init_top_k(sampling.top_k),
            llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1),
            llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1),
            llama_cpp.llama_sampler_init_temp(sampling.temperature),
            llama_cpp.llama_sampler_init_dist(seed),
        ]
    for part in parts:
        llama_cpp.llama_sampler_chain_add(chain, part)
    return chain  # type: ignore[no-any-return]
