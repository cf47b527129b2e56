"""One trial: ordinary users alone, then beside the attackers, and the proxy's process meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import psutil

from tests.support.appliance import Appliance
from tests.support.hostile.connection import Tally
from tests.support.hostile.mix import attackers
from tests.support.hostile.ordinary import Chat, OrdinaryUsers, ended_between
from tests.support.wait import until

USERS = ("ann", "bob", "cem")
ATTACKERS = ("mallory", "trudy")
RETURN_S = 120.0
"""How long the proxy has to give back what it held for the attackers."""
SPARE_DESCRIPTORS = 4
"""The database pool may have grown meanwhile, and stays so for a while."""
_SAMPLE_S = 0.25


@dataclass(frozen=True, kw_only=True)
class Use:
    """Memory and descriptors of the proxy's process at one moment."""

    memory_bytes: int
    descriptors: int


@dataclass(kw_only=True)
class Trial:
    """The result of a trial. Durations are seconds."""

    calm: list[Chat]
    calm_s: float
    attacked: list[Chat]
    attacked_s: float
    before: Use
    peak: Use
    after: Use
    tallies: dict[str, Tally]
    return_s: float | None
    """How long after the attack the descriptors were given back; None if they were not."""

    def served(self) -> Counter[str]:
        """How many whole answers each user got while the attack went on."""
        return Counter(chat.user for chat in self.attacked if chat.whole)


@dataclass(kw_only=True)
class _Watch:
    """Samples of a process until the context ends."""

    process: psutil.Process
    samples: list[Use] = field(default_factory=list)

    def sample(self) -> Use:
        use = Use(memory_bytes=self.process.memory_info().rss, descriptors=int(self.process.num_fds()))
        self.samples.append(use)
        return use

    def peak(self) -> Use:
        return Use(
            memory_bytes=max(use.memory_bytes for use in self.samples),
            descriptors=max(use.descriptors for use in self.samples),
        )

    @asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        async def sample_on() -> None:
            while True:
                self.sample()
                await asyncio.sleep(_SAMPLE_S)

        task = asyncio.create_task(sample_on())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def create_users(appliance: Appliance, names: tuple[str, ...]) -> dict[str, str]:
    """Create users whose windows never refuse them: the mix is about everything else. Keys by name."""
    limit = ("--rate-limit", "1000000", "--quiet")
    return {name: appliance.cli("create-user", "--username", name, *limit) for name in names}


async def run_trial(
    appliance: Appliance,
    *,
    calm_s: float,
    attack_s: float,
    least: int = 0,
    deadline_s: float = 0.0,
    tls: bool = False,
) -> Trial:
    """Run both stretches of time on a started appliance.

    The attack goes on beyond `attack_s` until each ordinary user has had `least` whole answers, for
    `deadline_s` in all at most: a slow machine takes longer, and whoever is shut out never has them.

    Raises:
        psutil.NoSuchProcess: the proxy's process has ended.
        RuntimeError: an attacker failed by itself.
    """
    url = appliance.proxy_url.replace("http:", "https:") if tls else appliance.proxy_url
    users = OrdinaryUsers(url=url, keys=create_users(appliance, USERS))
    keys = create_users(appliance, ATTACKERS)
    watch = _Watch(process=psutil.Process(appliance.pid("proxy")))
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group, watch.sampling():
        group.create_task(users.use(over))
        calm_at = time.monotonic()
        await asyncio.sleep(calm_s)
        await until(lambda: len({chat.user for chat in users.seen}) == len(USERS), "a chat of each user")
        before, attack_at = watch.sample(), time.monotonic()
        port = int(appliance.configuration["LLAMA_PROXY_PORT"])
        with attackers(port, (keys["mallory"], keys["trudy"]), tls=tls) as seen:
            await asyncio.sleep(attack_s)
            await _served(users, attack_at, least, attack_at + deadline_s)
            ended_at = time.monotonic()
            over.set()
    return_s = await _returned(watch, before, ended_at)
    return Trial(
        calm=ended_between(users.seen, calm_at, attack_at),
        calm_s=attack_at - calm_at,
        attacked=[chat for chat in users.seen if chat.ended_at > attack_at],
        attacked_s=ended_at - attack_at,
        before=before,
        peak=watch.peak(),
        after=watch.sample(),
        tallies=seen.tallies,
        return_s=return_s,
    )


async def _served(users: OrdinaryUsers, since: float, least: int, deadline: float) -> None:
    def all_served() -> bool:
        whole = [chat for chat in users.seen if chat.whole and chat.ended_at > since]
        counts: Mapping[str, int] = Counter(chat.user for chat in whole)
        return all(counts[user] >= least for user in users.keys) or time.monotonic() > deadline

    while not all_served():  # noqa: ASYNC110 - it is polled until a deadline of its own
        await asyncio.sleep(_SAMPLE_S)


async def _returned(watch: _Watch, before: Use, ended_at: float) -> float | None:
    while time.monotonic() < ended_at + RETURN_S:
        if watch.sample().descriptors <= before.descriptors + SPARE_DESCRIPTORS:
            return time.monotonic() - ended_at
        await asyncio.sleep(_SAMPLE_S)
    return None
