"""The state of the proxy's parts at the time of a scrape. Reads what they know; waits for nothing."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from psycopg_pool import AsyncConnectionPool

from proxy.edge.body import BodyMemory
from proxy.edge.registry import ConnectionRegistry
from proxy.edge.slow_clients import SlowClients
from proxy.identity.authentication.authenticator import Authenticator
from proxy.records.request_log import RequestLog
from proxy.scheduling.turns import Turns


class Sample(NamedTuple):
    """One value of a metric. Samples of one metric follow each other."""

    name: str
    kind: str
    """gauge or counter."""
    help: str
    value: float
    label: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of the proxy that are looked at."""

    turns: Turns
    authenticator: Authenticator
    request_log: RequestLog
    pool: AsyncConnectionPool
    connections: ConnectionRegistry
    slow_clients: SlowClients
    body_memory: BodyMemory
    under_way: Callable[[], int]
    """How many requests run or wait."""
    started_at: float
    """When this process began, Unix time."""
    further: Callable[[], Iterable[Sample]] = tuple
    """What rooms above this one tell."""


def samples(parts: Parts) -> Iterator[Sample]:
    """All gauges, and the counters that the parts keep themselves."""
    yield from _queues(parts.turns)
    yield Sample("llamaserve_requests_open", "gauge", "Requests that run or wait.", parts.under_way())
    yield from _records(parts.request_log)
    yield from _database(parts)
    yield from _clients(parts)
    yield from parts.further()
    yield from _process(parts.started_at)


def _queues(turns: Turns) -> Iterator[Sample]:
    for name, attribute, help_ in (
        ("waiting", "waiting", "Requests that wait for a turn."),
        ("running", "running", "Requests that have a turn at the engine."),
        ("slots", "limit", "Requests that may have a turn at a time."),
    ):
        for work, queue in turns.queues.items():
            value = getattr(queue, attribute)
            yield Sample(f"llamaserve_queue_{name}", "gauge", help_, value, ("work", work))
    available = turns.engine_available
    yield Sample("llamaserve_engine_up", "gauge", "1 while the engine can be reached.", available)


def _records(log: RequestLog) -> Iterator[Sample]:
    state = log.state()
    spool = "llamaserve_spool_"
    yield Sample(f"{spool}bytes", "gauge", "Size of the spool of request records.", state.spool_bytes)
    yield Sample(f"{spool}limit_bytes", "gauge", "Largest size of the spool.", state.limit_bytes)
    yield Sample(
        f"{spool}age_seconds", "gauge", "How long records have waited for the database.", state.age_s
    )
    backlog = "Records that are only in memory, since the spool cannot be written."
    yield Sample("llamaserve_backlog_records", "gauge", backlog, state.backlog_rows)
    lost = "Requests that got no record."
    yield Sample("llamaserve_records_lost_total", "counter", lost, state.lost_requests)


def _database(parts: Parts) -> Iterator[Sample]:
    help_ = "1 while changes of users and keys arrive from the database."
    yield Sample("llamaserve_database_up", "gauge", help_, parts.authenticator.hears_changes)
    stats = parts.pool.get_stats()
    for state in ("size", "available"):
        yield Sample(
            "llamaserve_database_connections", "gauge", "Connections to the database.",
            stats.get(f"pool_{state}", 0), ("state", {"size": "open", "available": "idle"}[state]),
        )  # fmt: skip
    waiting = stats.get("requests_waiting", 0)
    yield Sample("llamaserve_database_waiting", "gauge", "What waits for such a connection.", waiting)


def _clients(parts: Parts) -> Iterator[Sample]:
    connections = parts.connections
    prefix = "llamaserve_client_connections"
    yield Sample(prefix, "gauge", "Open connections of clients.", len(connections))
    yield Sample(f"{prefix}_limit", "gauge", "Most connections of clients.", connections.limit)
    for what, held in (("request", parts.body_memory), ("response", parts.slow_clients)):
        yield Sample(
            "llamaserve_body_memory_bytes", "gauge", "Memory held by bodies of requests under way.",
            held.held_bytes, ("body", what),
        )  # fmt: skip


def _process(started_at: float) -> Iterator[Sample]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = used.ru_utime + used.ru_stime
    yield Sample("process_cpu_seconds_total", "counter", "Processor time of the proxy.", cpu_s)
    resident = _resident_bytes()
    if resident is not None:
        yield Sample("process_resident_memory_bytes", "gauge", "Memory of the proxy.", resident)
    yield Sample("process_start_time_seconds", "gauge", "Unix time of the proxy's start.", started_at)


def _resident_bytes() -> int | None:
    """Resident memory; None where there is no /proc, as on macOS."""
    try:
        pages = Path("/proc/self/statm").read_bytes().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
