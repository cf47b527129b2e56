"""The attackers, all at once, in a process of their own: their work does not slow the users' clients."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.synchronize import Event

from tests.support.hostile import with_key, without_key
from tests.support.hostile.connection import Step, Tally, Target

_SPAWN = multiprocessing.get_context("spawn")
_END_S = 20.0
_PAUSE_S = 0.05
"""Between two connections of one attacker: not a flood that only measures the machine's loopback."""

SHARES: dict[str, dict[Step, int]] = {
    "the first attacker with a key": {
        with_key.slow_reader_of_whole_answer: 4,
        with_key.slow_reader_of_stream: 4,
        with_key.reader_who_takes_nothing: 2,
        with_key.slow_upload: 20,
    },
    "the second attacker with a key": {
        with_key.slow_reader_of_whole_answer: 2,
        with_key.tokenizer: 4,
        with_key.slow_reader_of_detokenized: 16,
        with_key.leaver: 4,
    },
    "the attacker without a key": {
        without_key.junk_key: 8,
        without_key.pipelined_heads: 60,
        without_key.half_open_head: 40,
        without_key.half_open_handshake: 20,
        without_key.silent_connection: 20,
    },
}
"""Who attacks how, and with how many connections at a time. Handshakes only where there is TLS."""


@dataclass(kw_only=True)
class Attackers:
    """The process of the attackers. `tallies` has its counts, by attack, once it has ended."""

    tallies: dict[str, Tally] = field(default_factory=dict)


@contextmanager
def attackers(port: int, keys: tuple[str, str], *, tls: bool = False) -> Iterator[Attackers]:
    """Attack the proxy on this port for as long as the context lasts.

    Raises:
        RuntimeError: an attack ended with an error that is not the server's closing its connection.
    """
    over = _SPAWN.Event()
    receiver, sender = _SPAWN.Pipe(duplex=False)
    process = _SPAWN.Process(target=_attack, args=(port, keys, tls, over, sender), daemon=True)
    process.start()
    sender.close()
    seen = Attackers()
    try:
        yield seen
        over.set()
        if not receiver.poll(_END_S):
            raise RuntimeError(f"the attackers did not end within {_END_S:g} s")
        seen.tallies = receiver.recv()
    except EOFError as error:
        raise RuntimeError("the attackers' process failed, its trace is above") from error
    finally:
        process.kill()
        process.join()
        process.close()
        receiver.close()


def _attack(port: int, keys: tuple[str, str], tls: bool, over: Event, sender: Pipe) -> None:
    sender.send(asyncio.run(_all_attacks(port, keys, tls, over)))


async def _all_attacks(port: int, keys: tuple[str, str], tls: bool, over: Event) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    async with asyncio.TaskGroup() as group:
        tasks = []
        for share, key in zip(SHARES.values(), (*keys, ""), strict=True):
            target = Target(port=port, key=key, tls=tls)
            for step, count in share.items():
                if step is without_key.half_open_handshake and not tls:
                    continue
                tally = tallies.setdefault(step.__name__.replace("_", " "), Counter())
                tasks += [group.create_task(_repeat(step, target, tally)) for _ in range(count)]
        await asyncio.to_thread(over.wait)
        for task in tasks:
            task.cancel()
    return tallies


async def _repeat(step: Step, target: Target, tally: Tally) -> None:
    while True:
        try:
            await step(target, tally)
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError is an OSError
            tally["cut"] += 1
        await asyncio.sleep(_PAUSE_S)
