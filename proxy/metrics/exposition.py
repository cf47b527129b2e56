"""All metrics in Prometheus's text format, version 0.0.4.

Written here, because prometheus-client takes several times as long for the same text: 300 users have
more than a thousand samples, and requests wait while they are written.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

from proxy.metrics.gauges import Parts, Sample, samples
from proxy.metrics.request_totals import BUCKETS_S, Histogram, RequestTotals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The metrics of one proxy."""

    def __init__(self, totals: RequestTotals, parts: Parts) -> None:
        self.totals = totals
        self._parts = parts

    def text(self) -> str:
        """All metrics as they are now."""
        totals, parts = self.totals, self._parts
        refusals = totals.refusals + parts.connections.refused
        refusals["too_many_auth_failures"] += parts.authenticator.refused_guesses
        lines = [
            *_head("llamaserve_requests_total", "counter", "Requests that have ended."),
            *(
                f'llamaserve_requests_total{{user="{_escaped(user)}",status="{status}"}} {count}'
                for (user, status), count in totals.requests.items()
            ),
            *_head("llamaserve_tokens_total", "counter", "Tokens of prompts and completions."),
            *(
                f'llamaserve_tokens_total{{user="{_escaped(user)}",kind="{kind}"}} {count}'
                for (user, kind), count in totals.tokens.items()
            ),
            *_reasons("llamaserve_refusals_total", "Requests that the engine never had.", refusals),
            *_reasons("llamaserve_failures_total", "Requests that broke off.", totals.failures),
            *_histograms(
                "llamaserve_request_duration_seconds",
                "From the arrival of an admitted request to its end.",
                totals.durations,
            ),
            *_histograms(
                "llamaserve_time_to_first_token_seconds",
                "From the arrival of a request to the first byte of its stream.",
                totals.first_tokens,
            ),
            *_histograms("llamaserve_queue_time_seconds", "Time in the queue.", totals.queue_times),
            *_samples(samples(parts)),
        ]
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, help_: str) -> tuple[str, str]:
    return f"# HELP {name} {help_}", f"# TYPE {name} {kind}"


@lru_cache(maxsize=1024)
def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _reasons(name: str, help_: str, counts: Counter[str]) -> Iterable[str]:
    yield from _head(name, "counter", help_)
    for reason, count in counts.items():
        yield f'{name}{{reason="{_escaped(reason)}"}} {count}'


def _histograms(name: str, help_: str, histograms: dict[str, Histogram]) -> Iterable[str]:
    yield from _head(name, "histogram", help_)
    for path, histogram in histograms.items():
        cumulative = list(accumulate(histogram.counts))
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), cumulative, strict=True):
            yield f'{name}_bucket{{path="{path}",le="{bound}"}} {count}'
        yield f'{name}_sum{{path="{path}"}} {histogram.sum_s:.6f}'
        yield f'{name}_count{{path="{path}"}} {cumulative[-1]}'


def _samples(found: Iterable[Sample]) -> Iterable[str]:
    before = ""
    for name, kind, help_, value, label in found:
        if name != before:
            yield from _head(name, kind, help_)
            before = name
        labels = "" if label is None else f'{{{label[0]}="{label[1]}"}}'
        yield f"{name}{labels} {float(value):.15g}"
