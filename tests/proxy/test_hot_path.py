"""What a chat request costs the proxy, as a number that the clock has no part in: its calls.

The real proxy in this thread, on uvloop as it runs, with its records and its log; the engine's stand-in
and the client are elsewhere, so that `sys.setprofile`, a thread's own, counts the proxy alone.

Where it fails, the failure lists the functions with their calls in a request. Which are new:

    ./console.sh test tests/proxy/test_hot_path.py -rP > new      and the same in the branch before
    diff old new
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType

import pytest

from proxy.log_format import JsonFormatter
from runtime.config import ROOT
from tests.bench.gateway.targets import asked_in_turn
from tests.support.mock_engine import mock_engine
from tests.support.proxy import running_proxy, settings_for

CALLS = 163
"""Of Python functions for a chat request: a few more than there are. Lower it when there are fewer."""
WARM_UP, COUNTED = 50, 200


class Calls:
    """Counts calls of Python functions in the thread in which it is entered; resumed coroutines too."""

    def __init__(self) -> None:
        self.total = 0
        self.by_code: Counter[CodeType] = Counter()

    def __enter__(self) -> Calls:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self.total += 1
            self.by_code[frame.f_code] += 1

    def table(self) -> str:
        """Functions with their calls in each request; what is not of each request is left out."""
        each = {code: round(count / COUNTED) for code, count in self.by_code.items()}
        lines = [f"{_where(code)}  {count}" for code, count in each.items() if count]
        return "\n".join(sorted(lines))


def _where(code: CodeType) -> str:
    file = Path(code.co_filename)
    name = file.relative_to(ROOT) if file.is_relative_to(ROOT) else Path(*file.parts[-2:])
    return f"{name}  {code.co_qualname}"


def _ask(port: int, key: str, count: int, total: Callable[[], int]) -> list[int]:
    """One request after the other on one connection; what `total` says at the end of each."""
    return [total() for _ in asked_in_turn(port, key, count)]


@pytest.fixture
def _log(tmp_path: Path) -> Iterator[None]:
    """A line for each request, as by default."""
    logger = logging.getLogger("proxy")
    with (tmp_path / "log").open("w") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # the handlers of pytest are not the proxy's cost
        yield
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.mark.usefixtures("_log")
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_chat_request_takes_no_more_calls_than_it_may(
    database_url: str, create_user: Callable[..., str], directory: Path
) -> None:
    """CALLS at most, in the least of COUNTED: the longer ones have the loader's calls in them."""
    key = create_user("alice", rate_limit=10**6)
    with mock_engine() as engine_url:
        settings = settings_for(database_url=database_url, backend_url=engine_url, directory=directory)
        async with running_proxy(settings) as proxy:
            port = int(proxy.url.rsplit(":", 1)[1])
            await asyncio.to_thread(_ask, port, key, WARM_UP, int)
            with Calls() as calls:
                totals = await asyncio.to_thread(_ask, port, key, COUNTED, lambda: calls.total)
    each = min(later - one for one, later in pairwise(totals))
    print(f"{calls.table()}\nin all  {each}")
    assert each <= CALLS, f"{each} calls of Python functions for a request, {CALLS} are allowed"
