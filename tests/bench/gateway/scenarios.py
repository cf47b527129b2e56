"""The scenarios: one function each, which returns a table. SCENARIOS names them.

Most ask all gateways the same and compare within a round (`_ask_all`); what only ours can do compares
ours with ours. A new scenario is a function here and a line in SCENARIOS.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxy.identity.keys import create_key
from tests.bench.gateway.load import Load, Result, RunningLoop, pieces
from tests.bench.gateway.mock import CHUNKS, pace, size
from tests.bench.gateway.targets import DIRECT, OURS, Target, Targets, chat_body
from tests.bench.processes import Instructions
from tests.bench.report import Table
from tests.bench.servers import in_turn

BUSY = 32
"""Connections that keep a gateway at work."""
MEGABYTE = 2**20
PACE_MS = 10
PACED_CONNECTIONS = 8
IDLE_STREAMS = 1000
IDLE_PACE_MS = 500
MANY_USERS, THEIR_KEYS, FEW_USERS = 100_000, 10_000, 10
FLOOD_CONNECTIONS = 512
WRONG_KEYS = 2_000
WARM_UP_S = 1.0

CPU = "CPU µs/request"
RATE = "requests/s"
DATABASE = "its database, CPU µs/request"
MEDIAN = "median at 1, ms"
ADDED = "added at 1, ms"
PEAK = "peak MB"
INSTRUCTIONS = "instructions/request"


@dataclass(kw_only=True)
class Bench:
    """What a scenario works with. Its servers are its own, with nothing of another in their memory.

    Args:
        seconds: that each is asked for, in each round and way.
        failed: whether ours, or the mock, answered anything that it should not have.
    """

    targets: Targets
    load: Load
    instructions: Instructions
    rounds: int
    seconds: float
    failed: bool = False
    _warm: set[tuple[str, str]] = field(default_factory=set)

    def table(self, title: str, columns: Sequence[Target]) -> Table:
        """An empty one; its ratios are ours to nginx and the router, and the others to ours."""
        names = [target.name for target in columns]
        ratios: list[tuple[str, str]] = [(OURS, name) for name in ("nginx", "router") if name in names]
        ratios += [(name, OURS) for name in ("litellm", "portkey") if name in names]
        return Table(title=title, columns=names, ratios=ratios, turned=True)

    def run(self, target: Target, body: str, *, connections: int) -> tuple[Result, dict[str, float]]:
        """Ask one for a while; what it answered, and what a request cost."""
        with tempfile.TemporaryDirectory() as directory:
            counted = Path(directory) / "perf"
            job = target.job(body, connections=connections, seconds=self.seconds)
            before = target.tree.cpu_s()
            database_before = target.database.cpu_s() if target.database else 0.0
            with self.instructions.counting(target.tree.pids(), counted):
                result = self.load.run(job)
            each = 1 / max(1, result.requests)
            used = {
                CPU: (target.tree.cpu_s() - before) * 1e6 * each,
                RATE: result.requests / result.seconds,
            }
            if target.database:
                used[DATABASE] = (target.database.cpu_s() - database_before) * 1e6 * each
            if (instructions := self.instructions.counted(counted)) is not None:
                used[INSTRUCTIONS] = instructions * each
        return result, used

    def warm_up(self, target: Target, body: str) -> None:
        """Once for each kind of request: modules are loaded, connections and keys become known."""
        if (target.name, body) not in self._warm:
            self._warm.add((target.name, body))
            self.load.run(target.job(body, connections=BUSY, seconds=min(WARM_UP_S, self.seconds)))

    def left_out(self, table: Table, target: Target, why: str) -> None:
        """Note that one does not do what is asked, and forget what it has."""
        table.notes.append(f"{target.name} is left out: {why}")
        self.failed |= target.database is not None or target.name == DIRECT
        for cells in table.rows.values():
            cells.pop(target.name, None)


def _ask_all(bench: Bench, title: str, body: str, gateways: Sequence[Target] | None = None) -> Table:
    """All in turn, round by round: busy for the cost of a request, at one connection for its time."""
    gateways = bench.targets.all() if gateways is None else list(gateways)
    table = bench.table(f"{title} ({BUSY} connections, and 1)", gateways)
    for number in range(bench.rounds):
        medians: dict[str, float] = {}
        for target in in_turn(list(gateways), number):
            bench.warm_up(target, body)
            busy, used = bench.run(target, body, connections=BUSY)
            alone, _ = bench.run(target, body, connections=1)
            if why := _complaint(busy) or _complaint(alone):
                bench.left_out(table, target, why)
                gateways.remove(target)
                continue
            medians[target.name] = alone.median_ms
            for name, value in used.items():
                table.add(name, target.name, value)
        for name, value in medians.items():
            table.add(MEDIAN, name, value)
            if name != DIRECT and DIRECT in medians:
                table.add(ADDED, name, value - medians[DIRECT])
    _add_peaks(table, gateways)
    return table


def _complaint(result: Result) -> str:
    """Describe what is wrong with the results; empty if nothing is."""
    if wrong := result.refused + result.broken:
        return f"{wrong} of {result.requests + result.broken} answers failed"
    return "" if result.requests else f"no answer in {result.seconds:.1f} s; give it more --seconds"


def _add_peaks(table: Table, gateways: Sequence[Target]) -> None:
    for target in gateways:
        if (peak := target.tree.peak_bytes()) is not None:
            table.add(PEAK, target.name, peak / 1e6)


def chat(bench: Bench) -> Table:
    """A short question, an answer of about 300 bytes."""
    return _ask_all(bench, "chat", chat_body("Hello"))


def stream(bench: Bench) -> Table:
    """A chat as a stream whose chunks come all at once."""
    return _ask_all(bench, f"stream, {CHUNKS} chunks at once", chat_body("Hello", stream=True))


def large_prompt(bench: Bench) -> Table:
    """A prompt of a megabyte."""
    return _ask_all(bench, "prompt of 1 MB", chat_body("x" * MEGABYTE))


def large_answer(bench: Bench) -> Table:
    """An answer of a megabyte, not streamed."""
    return _ask_all(bench, "answer of 1 MB", chat_body(size(MEGABYTE)))


def paced(bench: Bench) -> Table:
    """Streams whose chunks come one by one: what is added to the first byte, each gap, the whole."""
    body = chat_body(pace(PACE_MS), stream=True)
    gateways = bench.targets.all()
    title = f"stream, {CHUNKS} chunks {PACE_MS} ms apart ({PACED_CONNECTIONS} connections; ms)"
    # A ratio of what is added, which may be nothing, would say nothing.
    table = replace(bench.table(title, gateways), ratios=())
    for number in range(bench.rounds):
        seen: dict[str, dict[str, float]] = {}
        for target in in_turn(list(gateways), number):
            bench.warm_up(target, body)
            job = target.job(body, connections=PACED_CONNECTIONS, seconds=bench.seconds)
            outcome = pieces(job)
            if set(outcome.statuses) != {"200"} or outcome.gap_ms is None:
                bench.left_out(table, target, f"its answers were {outcome.statuses}")
                gateways.remove(target)
                continue
            times = {"first byte": outcome.first_ms, "gap": outcome.gap_ms, "whole": outcome.total_ms}
            seen[target.name] = times
            for name, value in times.items():
                table.add(name, target.name, value)
        for gateway, times in seen.items():
            if gateway != DIRECT and DIRECT in seen:
                for name, value in times.items():
                    table.add(f"added to the {name}", gateway, value - seen[DIRECT][name])
    return table


def idle_streams(bench: Bench) -> Table:
    """Many streams at a time in which little happens: what memory each takes."""
    body = chat_body(pace(IDLE_PACE_MS), stream=True)
    gateways = bench.targets.all()[1:]
    table = bench.table(
        f"{IDLE_STREAMS} streams at a time, {CHUNKS} chunks {IDLE_PACE_MS} ms apart", gateways
    )
    # Memory that was taken once stays taken: a second round would begin where the first one ended.
    for target in gateways:
        bench.warm_up(target, chat_body("Hello"))
        before = target.tree.resident_bytes()
        job = target.job(body, connections=IDLE_STREAMS, seconds=0.0, requests=IDLE_STREAMS)
        with RunningLoop(job) as loop:
            all_begun = loop.wait_begun()
            after = target.tree.resident_bytes()
            outcome = loop.outcome()
        if not all_begun or outcome.statuses != {"200": IDLE_STREAMS}:
            bench.left_out(table, target, f"its answers were {outcome.statuses}")
            continue
        table.add("MB before", target.name, before / 1e6)
        table.add("MB meanwhile", target.name, after / 1e6)
        table.add("kB for each stream", target.name, (after - before) / IDLE_STREAMS / 1e3)
        _add_peaks(table, [target])
        table.add("first byte, ms", target.name, outcome.first_ms)
        table.add("whole, s", target.name, outcome.total_ms / 1e3)
    return table


def users(bench: Bench) -> Table:
    """The cost of a request among few users and among many."""
    few = bench.targets.ours(f"{FEW_USERS} users", users=FEW_USERS, keys=FEW_USERS)
    many = bench.targets.ours(f"{MANY_USERS:,} users", users=MANY_USERS, keys=THEIR_KEYS)
    for target in (few, many):
        # Each key is looked up and verified once; too many at a time look like guesses.
        keys = len(target.keys)
        bench.load.run(target.job(chat_body("Hello"), connections=8, seconds=0.0, requests=keys))
    table = _ask_all(
        bench, f"chat with the keys of all, or of {THEIR_KEYS:,}", chat_body("Hello"), [few, many]
    )
    return replace(table, ratios=[(many.name, few.name)])


def shared(bench: Bench) -> Table:
    """The cost of windows in the database (LLAMA_PROXY_SHARED=1)."""
    together = bench.targets.ours("ours, shared", LLAMA_PROXY_SHARED="1")
    alone = bench.targets.ours()
    table = _ask_all(bench, "chat, windows in the database", chat_body("Hello"), [alone, together])
    return replace(table, ratios=[(together.name, OURS)])


def wrong_keys(bench: Bench) -> Table:
    """A flood of wrong keys: what each costs where it is refused. `bench guesses` has who suffers."""
    unlimited = bench.targets.ours("ours, no limit", LLAMA_PROXY_AUTH_FAILURES_PER_MINUTE="0")
    flooded = bench.targets.ours("ours, flooded")
    columns = [flooded, unlimited, *bench.targets.peers("router", "litellm")]
    table = Table(
        title=f"wrong keys ({FLOOD_CONNECTIONS} connections)",
        columns=[target.name for target in columns],
        ratios=[(flooded.name, target.name) for target in columns[2:]],
        turned=True,
        notes=[
            "as by default, guesses of one address wait for their refusals, 256 at a time",
            "with no limit 64 keys are looked up at a time, and the others are told to come again",
        ],
    )
    wrong = [create_key().key for _ in range(WRONG_KEYS)]
    for number in range(bench.rounds):
        for target in in_turn(list(columns), number):
            guessing = replace(target, keys=wrong)
            result, used = bench.run(guessing, chat_body("Hello"), connections=FLOOD_CONNECTIONS)
            passed = result.requests - result.refused
            if passed or result.broken or not result.requests:
                why = f"of wrong keys {passed} passed, {result.refused} were refused in time"
                bench.left_out(table, target, why)
                columns.remove(target)
                continue
            for name, value in used.items():
                table.add(name, target.name, value)
    return table


SCENARIOS: dict[str, Callable[[Bench], Table]] = {
    "chat": chat,
    "stream": stream,
    "paced": paced,
    "large-prompt": large_prompt,
    "large-answer": large_answer,
    "idle-streams": idle_streams,
    "users": users,
    "shared": shared,
    "wrong-keys": wrong_keys,
}
