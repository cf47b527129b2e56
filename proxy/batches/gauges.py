"""Figures of batches for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.batches.runner import Runner
from proxy.metrics.gauges import Sample
from proxy.scheduling.batch_turns import BatchTurns


def samples(runner: Runner, turns: BatchTurns) -> Iterator[Sample]:
    """What this proxy does for batches now, and has done."""
    prefix = "llamaserve_batch_"
    yield Sample(f"{prefix}batches", "gauge", "Batches that this proxy works on.", runner.working)
    yield Sample(f"{prefix}lines_running", "gauge", "Lines that have a turn.", turns.running())
    yield Sample(f"{prefix}lines_waiting", "gauge", "Lines that wait for a turn.", turns.waiting())
    help_ = "Lines without a result, of the batches that this proxy works on."
    yield Sample(f"{prefix}lines_left", "gauge", help_, runner.lines_left)
    help_ = "Lines that have got their result."
    for outcome, number in runner.results.items():
        yield Sample(f"{prefix}lines_total", "counter", help_, number, ("outcome", outcome))
