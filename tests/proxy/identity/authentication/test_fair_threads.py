"""Threads that are dealt in turn: whoever has much to do delays itself."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

from proxy.identity.authentication.fair_threads import FairThreads


async def test_a_share_that_comes_late_waits_for_one_piece_of_each_other() -> None:
    """Five pieces of one share are there first; two others have their turn after the second of them."""
    threads, done = FairThreads(1), list[str]()
    shares = ["a"] * 5 + ["b", "c"]
    await asyncio.gather(*(threads.run(share, partial(done.append, share)) for share in shares))
    assert done == ["a", "a", "b", "c", "a", "a", "a"]


async def test_work_that_fails_or_is_given_up_leaves_no_thread_taken() -> None:
    """Its turn goes to the next; there are never more at a time than there may be."""
    threads, gate = FairThreads(2), threading.Event()
    held = [asyncio.create_task(threads.run("a", gate.wait)) for _ in range(2)]
    given_up = asyncio.create_task(threads.run("b", gate.wait))
    failing = asyncio.create_task(threads.run("c", partial(int, "no number")))
    await asyncio.sleep(0)
    assert not failing.done()
    given_up.cancel()
    gate.set()
    results = await asyncio.gather(*held, given_up, failing, return_exceptions=True)
    assert results[:2] == [True, True]
    assert [type(result) for result in results[2:]] == [asyncio.CancelledError, ValueError]
    assert await asyncio.gather(*(threads.run("d", lambda: 7) for _ in range(3))) == [7, 7, 7]
