"""What the engine counts, for Prometheus: https://prometheus.io/docs/practices/naming/."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime.engine.generation.generation import Generation


class Metrics:
    """The counters of one engine. Thread-safe."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each counter, of no use to Prometheus itself
        self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"llama_{name}", text, labels, registry=self._registry)

        self._requests = counter("requests", "Answers, by path and status.", "path", "status")
        self._prompt_tokens = counter("prompt_tokens", "Tokens of prompts.")
        self._cached_tokens = counter(
            "prompt_tokens_cached", "Tokens of prompts that needed no evaluation."
        )
        self._prompt_seconds = counter("prompt_seconds", "Time until the first token.")
        self._generated_tokens = counter("generated_tokens", "Tokens of answers.")
        self._generation_seconds = counter("generation_seconds", "Time from the first token on.")
        self._prefix_hits = counter(
            "prefix_cache_hits", "Prompts of which at least a part needed no evaluation."
        )
        self._prefix_misses = counter("prefix_cache_misses", "Prompts evaluated whole.")
        self._saved_bytes = Gauge(
            "llama_prefix_cache_bytes", "Saved states of conversations.", registry=self._registry
        )
        self._running = Gauge(
            "llama_requests_running", "Requests under way, waiting ones too.", registry=self._registry
        )
        self._generating = Gauge(
            "llama_generating", "1 while the model is at work.", registry=self._registry
        )
        self._prompt_speed = Gauge(
            "llama_prompt_tokens_per_second", "Of the last prompt.", registry=self._registry
        )
        self._generation_speed = Gauge(
            "llama_generated_tokens_per_second", "Of the last answer.", registry=self._registry
        )

    def render(self) -> bytes:
        """All of it in Prometheus's text form."""
        return bytes(generate_latest(self._registry))

    def begun(self) -> None:
        """A request has come."""
        self._running.inc()

    def ended(self, path: str, status: int) -> None:
        """A request has been answered, or its client has left (499)."""
        self._running.dec()
        self._requests.labels(path, str(status)).inc()

    def generating(self, at_work: bool) -> None:
        self._generating.set(at_work)

    def saved_bytes(self, n_bytes: int) -> None:
        self._saved_bytes.set(n_bytes)

    def count(
        self, generation: Generation, *, reused: int, prompt_s: float, generation_s: float
    ) -> None:
        """Count an answer that the model has done with."""
        n_prompt, n_generated = len(generation.prompt.tokens), generation.completion_tokens
        self._prompt_tokens.inc(n_prompt)
        self._cached_tokens.inc(reused)
        (self._prefix_hits if reused else self._prefix_misses).inc()
        self._prompt_seconds.inc(prompt_s)
        self._generated_tokens.inc(n_generated)
        self._generation_seconds.inc(generation_s)
        if n_generated:
            self._prompt_speed.set((n_prompt - reused) / prompt_s)
        if n_generated > 1:
            # The first token is the prompt's.
            self._generation_speed.set((n_generated - 1) / generation_s)
