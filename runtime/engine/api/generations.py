"""Makes generations of what requests have in common: sampling, limits and probabilities."""

from __future__ import annotations

from dataclasses import fields, replace

from runtime.engine import errors
from runtime.engine.api.schemas import MAX_TOP_LOGPROBS, GenerationRequest
from runtime.engine.generation.generation import Generation, GenerationLimits, Prompt, Sampling
from runtime.engine.generation.model import GuardedLlama
from runtime.engine.settings import EngineSettings

_SAMPLING = [field.name for field in fields(Sampling)]

MAX_PROBABILITIES = 2**20
"""Probabilities of tokens, alternatives included, that the responses to one request may report; some 200
bytes each until the whole response is sent."""


class Generations:
    """Makes generations for one model."""

    def __init__(self, llama: GuardedLlama, settings: EngineSettings) -> None:
        self._llama = llama
        self._n_ctx = llama.n_ctx()
        self._max_tokens = settings.max_tokens
        self._seconds = settings.request_s

    def limits(
        self,
        request: GenerationRequest,
        prompt: Prompt,
        max_tokens: int | None,
        top_logprobs: int | None,
    ) -> GenerationLimits:
        """The limits of each response to a prompt; `max_tokens` None or 0 is the server's default."""
        if max_tokens is None or max_tokens <= 0:
            max_tokens = self._max_tokens
        return GenerationLimits(
            max_tokens=min(max_tokens, self._n_ctx - len(prompt.tokens)),
            min_tokens=request.min_tokens,
            seconds=self._seconds,
            logit_bias=self._logit_bias(request),
            top_logprobs=top_logprobs,
        )

    def _logit_bias(self, request: GenerationRequest) -> dict[int, float]:
        biases: dict[int, float] = {}
        for name, bias in request.logit_bias.items():
            for token in self._biased_tokens(name, by_text=request.logit_bias_type == "tokens"):
                biases[token] = bias
        return biases

    def _biased_tokens(self, name: str, *, by_text: bool) -> list[int]:
        vocabulary = self._llama.vocabulary
        if by_text:
            return vocabulary.tokenize(name, add_special=False, parse_special=True)
        if name.isascii() and name.isdecimal() and len(name) < 10 and int(name) < vocabulary.n_tokens:
            return [int(name)]
        raise errors.invalid(
            "logit_bias",
            f"logit_bias: its keys are tokens, whole numbers from 0 to {vocabulary.n_tokens - 1}.",
        )

    def make(
        self,
        request: GenerationRequest,
        prompt: Prompt,
        limits: GenerationLimits,
        *,
        number: int,
        is_constrained: bool,
        first_index: int = 0,
    ) -> list[Generation]:
        """Return so many generations of a prompt; each one's seed is one above the previous one's."""
        sampling = Sampling(**{name: getattr(request, name) for name in _SAMPLING})
        if is_constrained:
            # Mirostat's estimate of the distribution has no meaning if most tokens are forbidden.
            sampling = replace(sampling, mirostat_mode=0)
        seeds = [None if request.seed is None else request.seed + offset for offset in range(number)]
        return [
            Generation(
                prompt=prompt,
                limits=limits,
                sampling=replace(sampling, seed=seed),
                index=first_index + offset,
            )
            for offset, seed in enumerate(seeds)
        ]


def check_probabilities(generations: list[Generation], n_ctx: int) -> None:
    """Refuse a request whose responses together may report more probabilities than memory should hold.

    A whole response keeps all of them until its end. One response with the most alternatives always may.
    """
    reported = 0
    for generation in generations:
        limits, prompt = generation.limits, generation.prompt
        if limits.top_logprobs is not None:
            n_tokens = limits.max_tokens + (len(prompt.tokens) if prompt.is_scored else 0)
            reported += n_tokens * (1 + limits.top_logprobs)
    most = max(MAX_PROBABILITIES, n_ctx * (1 + MAX_TOP_LOGPROBS))
    if reported > most:
        raise errors.invalid(
            "logprobs",
            f"logprobs: the responses may report {reported} probabilities together, and at most {most} "
            "are possible: ask for fewer responses, tokens or alternatives.",
        )
