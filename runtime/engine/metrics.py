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


class Metrics:
    """The counters of one engine. Thread-safe."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a line more for each counter, of no use to Prometheus itself
        self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"llama_{name}", text, labels, registry=self._registry)

        self._requests = counter("requests", "Responses, by path and status.", "path", "status")
        self._prompt_tokens = counter("prompt_tokens", "Tokens of prompts.")
        self._cached_tokens = counter(
            "prompt_tokens_cached", "Tokens of prompts that needed no evaluation."
        )
        self._prompt_seconds = counter("prompt_seconds", "Time until the first token.")
        self._generated_tokens = counter("generated_tokens", "Tokens of responses.")
        self._generation_seconds = counter("generation_seconds", "Time from the first token on.")
        self._prefix_hits = counter(
            "prefix_cache_hits", "Prompts of which at least a part needed no evaluation."
        )
        self._prefix_misses = counter("prefix_cache_misses", "Prompts evaluated whole.")
        self._steps = counter("steps", "Steps of the model, each for all that run.")
        self._step_sequences = counter("step_sequences", "Responses in those steps.")
        self._drafted_tokens = counter("lookup_drafted_tokens", "Tokens guessed by prompt lookup.")
        self._embedded_inputs = counter("embedded_inputs", "Texts embedded, or ranked.")
        self._embedded_tokens = counter("embedded_tokens", "Tokens of those texts.")
        self._embedding_seconds = counter("embedding_seconds", "Time for embedding and ranking.")
        self._accepted_tokens = counter("lookup_accepted_tokens", "Those of them that were right.")

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"llama_{name}", text, registry=self._registry)

        self._saved_bytes = gauge("prefix_cache_bytes", "Saved states of conversations.")
        self._running = gauge("requests_running", "Requests under way, waiting ones too.")
        self._generating = gauge("generating", "1 while the model is at work.")
        self._slots = gauge("slots", "Responses that can be generated at a time.")
        self._slots_running = gauge("slots_running", "Responses being generated.")
        self._slots_waiting = gauge("slots_waiting", "Responses that wait for a slot.")
        self._prompt_speed = gauge("prompt_tokens_per_second", "Of the last prompt.")
        self._generation_speed = gauge("generated_tokens_per_second", "Of the last response.")

    def render(self) -> bytes:
        """All of it in Prometheus's text form."""
        return bytes(generate_latest(self._registry))

    def begun(self) -> None:
        """A request has come."""
        self._running.inc()

    def ended(self, path: str, status: int) -> None:
        """A request has got its response, or its client has left (499)."""
        self._running.dec()
        self._requests.labels(path, str(status)).inc()

    def slots(self, number: int) -> None:
        """So many responses can be generated at a time."""
        self._slots.set(number)

    def busy(self, *, running: int, waiting: int) -> None:
        """So many responses are being generated, and so many wait for a slot."""
        self._generating.set(running > 0)
        self._slots_running.set(running)
        self._slots_waiting.set(waiting)

    def stepped(self, n_sequences: int) -> None:
        """A step of the model has been made, for so many responses together."""
        self._steps.inc()
        self._step_sequences.inc(n_sequences)

    def drafted(self, *, proposed: int, accepted: int) -> None:
        """Tokens have been guessed by prompt lookup, and so many of them were right."""
        self._drafted_tokens.inc(proposed)
        self._accepted_tokens.inc(accepted)

    def embedded(self, *, inputs: int, tokens: int, seconds: float) -> None:
        """So many inputs have been embedded, or ranked, in one batch."""
        self._embedded_inputs.inc(inputs)
        self._embedded_tokens.inc(tokens)
        self._embedding_seconds.inc(seconds)

    def saved_bytes(self, n_bytes: int) -> None:
        self._saved_bytes.set(n_bytes)

    def count(
        self,
        *,
        prompt_tokens: int,
        cached_tokens: int,
        completion_tokens: int,
        prompt_s: float,
        generation_s: float,
    ) -> None:
        """Count a response that has ended; `prompt_s` is from its admission to its first token."""
        self._prompt_tokens.inc(prompt_tokens)
        self._cached_tokens.inc(cached_tokens)
        (self._prefix_hits if cached_tokens else self._prefix_misses).inc()
        self._prompt_seconds.inc(prompt_s)
        self._generated_tokens.inc(completion_tokens)
        self._generation_seconds.inc(generation_s)
        if completion_tokens and prompt_s > 0:
            self._prompt_speed.set((prompt_tokens - cached_tokens) / prompt_s)
        if completion_tokens > 1 and generation_s > 0:
            # The first token is the prompt's.
            self._generation_speed.set((completion_tokens - 1) / generation_s)
