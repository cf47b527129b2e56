"""Guesses of keys: limited by address, and no matter to those who have a key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

import aiohttp
import psycopg
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from proxy.addresses import client_address
from proxy.identity import keys
from proxy.identity.authentication.failed_logins import MAX_COUNTED, FailedLogins
from proxy.settings import ProxySettings
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream


@pytest.fixture(autouse=True)
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals come at once, but where a test says otherwise."""
    monkeypatch.setattr("proxy.identity.authentication.authenticator.SLOW_S", 0.0)


class Clock:
    """Monotonic seconds, as the test has them."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def failures_until_refused(failures: FailedLogins, address: str) -> int:
    count = 0
    while not failures.wait_s(address):
        failures.note(address)
        count += 1
    return count


def test_so_many_at_once_and_then_at_the_same_pace() -> None:
    """30 a minute: 30 at once, and another every two seconds."""
    clock = Clock()
    failures = FailedLogins(30, clock=clock)
    assert failures_until_refused(failures, "10.0.0.1") == 30
    assert failures.wait_s("10.0.0.1") == pytest.approx(2.0)
    clock.now += 1.99
    assert failures.wait_s("10.0.0.1") == pytest.approx(0.01)
    clock.now += 0.01
    assert failures_until_refused(failures, "10.0.0.1") == 1
    clock.now += 3600
    assert failures_until_refused(failures, "10.0.0.1") == 30


def test_addresses_are_told_apart_and_networks_of_one_are_not() -> None:
    """An IPv6 client has 2^64 addresses: they count as one. Any text will do for an address."""
    failures = FailedLogins(3, clock=Clock())
    assert failures_until_refused(failures, "10.0.0.1") == 3
    assert failures_until_refused(failures, "10.0.0.2") == 3
    assert failures_until_refused(failures, "2001:db8::1") == 3
    assert failures.wait_s("2001:db8::ffff:1") > 0
    assert failures.wait_s("2001:db8:0:1::1") == 0
    assert failures_until_refused(failures, "::ffff:10.0.0.9") == 3
    assert failures.wait_s("::ffff:10.0.0.10") == 0
    assert failures_until_refused(failures, "") == 3


def test_a_public_id_has_a_count_of_its_own() -> None:
    """Wrong secrets for one key say nothing about other keys of the same address, nor elsewhere."""
    failures = FailedLogins(3, clock=Clock())
    waits = [failures.note("10.0.0.1", "alice") for _ in range(4)]
    assert waits[:3] == [0.0] * 3
    assert waits[3] == failures.wait_s("10.0.0.1", "alice") > 0
    assert failures.wait_s("10.0.0.1") == 0
    assert failures.wait_s("10.0.0.1", "bob") == 0
    assert failures.wait_s("10.0.0.2", "alice") == 0


def test_memory_is_bounded_however_many_addresses_there_are() -> None:
    """Those that have made good are forgotten first; then the ones that failed longest ago."""
    clock = Clock()
    failures = FailedLogins(30, clock=clock)
    for number in range(3 * MAX_COUNTED):
        failures.note(f"host{number}")
    assert len(failures) == MAX_COUNTED
    clock.now += 61
    failures.note("one more")
    assert len(failures) == 1


def test_0_is_no_limit() -> None:
    """And nothing is kept."""
    failures = FailedLogins(0, clock=Clock())
    for _ in range(1000):
        failures.note("10.0.0.1")
    assert failures.wait_s("10.0.0.1") == 0
    assert len(failures) == 0


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("9.9.9.9", "1.2.3.4", "9.9.9.9"),  # no trusted proxy: its own word
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),  # 6.6.6.6 is the client's own word
        ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "1.2.3.4, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::ffff:10.0.0.1", "2001:db8::7", "2001:db8::7"),
        ("", "1.2.3.4", ""),
    ],
)
def test_a_trusted_proxy_is_believed_and_nobody_else(
    peer: str, forwarded: str | None, address: str
) -> None:
    """The last address in X-Forwarded-For that no trusted proxy has."""
    headers = CIMultiDict[str]() if forwarded is None else CIMultiDict({"x-forwarded-for": forwarded})
    trusted = (ip_network("10.0.0.0/8"),)
    assert client_address(peer, CIMultiDictProxy(headers), trusted) == address


async def statuses(proxy: RunningProxy, key: str, count: int, **headers: str) -> list[int]:
    async def one() -> int:
        async with proxy.request("GET", "/v1/models", key=key, headers=headers) as response:
            await response.read()
            return int(response.status)

    return [await one() for _ in range(count)]


async def test_guesses_are_refused_and_known_users_of_the_same_address_go_on(
    settings: ProxySettings, key: str, create_user: Callable[..., str]
) -> None:
    """Mistyped keys and well-formed ones count alike; the refusal says when to come again."""
    bob = create_user("bob")
    async with running_proxy(replace(settings, auth_failures_per_minute=6)) as proxy:
        assert await statuses(proxy, key, 1) == [200]
        guesses = [keys.create_key().key, "lsk_mistyped", "another's"]
        answers = [(await statuses(proxy, guess, 3)) for guess in guesses]
        assert answers == [[401] * 3, [401] * 3, [429] * 3]
        async with proxy.request("GET", "/v1/models", key=guesses[0]) as response:
            assert response.headers["x-should-retry"] == "false"
            assert 1 <= int(response.headers["retry-after"]) <= 10
            error = (await response.json())["error"]
        assert error["code"] == "too_many_auth_failures"
        assert await statuses(proxy, key, 3) == [200] * 3
        # A good key that this process has not seen yet is looked up, whatever others have sent.
        assert await statuses(proxy, bob, 1) == [200]


async def test_a_new_key_s_first_requests_come_as_many_as_they_like(
    settings: ProxySettings, key: str, upstream: FakeUpstream
) -> None:
    """They are looked up once, and a good key is no failure."""
    async with running_proxy(replace(settings, auth_failures_per_minute=2)) as proxy:
        found = await asyncio.gather(*(statuses(proxy, key, 1) for _ in range(20)))
        assert found == [[200]] * 20
        assert await statuses(proxy, "lsk_wrong", 3) == [401, 401, 429]


async def test_a_class_of_new_users_behind_one_address_is_no_flood(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """Their keys are good: it does not matter how many are looked up at once."""
    new = [create_user(f"user{number}") for number in range(20)]
    async with running_proxy(replace(settings, auth_failures_per_minute=2)) as proxy:
        found = await asyncio.gather(*(statuses(proxy, key, 1) for key in new))
        assert found == [[200]] * 20


async def test_behind_a_trusted_proxy_each_client_has_its_own_count(
    settings: ProxySettings, key: str
) -> None:
    """So that one of them does not shut the others out."""
    settings = replace(
        settings, auth_failures_per_minute=2, trusted_proxies=(ip_network("127.0.0.0/8"),)
    )
    async with running_proxy(settings) as proxy:
        one, other = {"X-Forwarded-For": "1.1.1.1"}, {"X-Forwarded-For": "2.2.2.2"}
        assert await statuses(proxy, "lsk_wrong", 3, **one) == [401, 401, 429]
        assert await statuses(proxy, "lsk_wrong", 3, **other) == [401, 401, 429]
        assert await statuses(proxy, key, 1, **{"X-Forwarded-For": "3.3.3.3"}) == [200]


async def test_who_guesses_waits_for_the_refusal_and_nobody_else_does(
    settings: ProxySettings, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many at a time; beyond, they are refused at once, and nothing piles up."""
    monkeypatch.setattr("proxy.identity.authentication.authenticator.SLOW_S", 3600.0)
    monkeypatch.setattr("proxy.identity.authentication.authenticator.MAX_SLOWED", 2)
    async with running_proxy(replace(settings, auth_failures_per_minute=1)) as proxy:
        assert await statuses(proxy, key, 1) == [200]
        assert await statuses(proxy, "lsk_wrong", 1) == [401]
        guesses = [asyncio.create_task(statuses(proxy, "lsk_wrong", 1)) for _ in range(5)]
        done: set[asyncio.Task[list[int]]] = set()
        waiting = set(guesses)
        while len(done) < 3:
            more, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert [task.result() for task in done] == [[429]] * 3
        assert await statuses(proxy, key, 3) == [200] * 3
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_junk_of_one_address_locks_no_good_key_out(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """Eight clients send junk without end while good users come whom the proxy does not know yet."""
    new = [create_user(f"user{number}") for number in range(6)]
    async with running_proxy(replace(settings, auth_failures_per_minute=2)) as proxy:
        stop = asyncio.Event()

        async def junk(number: int) -> None:
            while not stop.is_set():
                guess = keys.create_key().key if number % 2 else "lsk_junk"
                assert (await statuses(proxy, guess, 1))[0] in (401, 429)

        floods = [asyncio.create_task(junk(number)) for number in range(8)]
        while (await statuses(proxy, "lsk_junk", 1)) != [429]:
            pass
        found = [(await statuses(proxy, key, 1))[0] for key in new]
        stop.set()
        await asyncio.gather(*floods)
    assert found == [200] * 6


async def test_wrong_secrets_for_one_key_shut_out_nobody_else(
    settings: ProxySettings, create_user: Callable[..., str]
) -> None:
    """Whoever knows a public id may try few secrets from an address.

    Other keys are not concerned, nor is the key itself, although the proxy does not know it yet.
    """
    alice, bob = create_user("alice"), create_user("bob")
    async with running_proxy(replace(settings, auth_failures_per_minute=2)) as proxy:
        guesses = [wrong_secret(alice, digit) for digit in "1234"]
        assert [(await statuses(proxy, guess, 1))[0] for guess in guesses] == [401, 401, 429, 429]
        assert await statuses(proxy, bob, 1) == [200]
        assert await statuses(proxy, alice, 1) == [200]


async def test_a_good_key_gets_through_a_flood_of_guesses_at_it(
    settings: ProxySettings, key: str
) -> None:
    """From the same address, before the proxy knows the key: it waits for those that came before."""
    bodies = [key[:16] + keys._random(32) for _ in range(200)]
    guesses = [body + keys._checksum(body) for body in bodies]
    answered: list[int] = []
    begun = asyncio.Event()

    async def guess_twice(guess: str) -> None:
        for _ in range(2):
            answered.extend(await statuses(proxy, guess, 1))
            begun.set()

    async with running_proxy(settings) as proxy, aiohttp.ClientSession() as client:
        flood = [asyncio.create_task(guess_twice(guess)) for guess in guesses]
        await begun.wait()
        # The flood's client sends 100 at a time; this one's request waits for no place there.
        async with asyncio.timeout(15):
            assert await statuses(replace(proxy, client=client), key, 1) == [200]
        before = len(answered)
        await asyncio.gather(*flood)
    assert before < len(answered) / 2
    assert set(answered) == {401, 429}


def wrong_secret(key: str, digit: str) -> str:
    """A key of the same public id and another secret, with the right checksum."""
    body = key[:-7] + ("x" if key[-7] == digit else digit)
    return body + keys._checksum(body)


async def test_a_flood_of_keys_that_nobody_has_takes_few_queries(
    settings: ProxySettings, key: str, database_url: str
) -> None:
    """What comes while one query runs is asked for together by the next."""
    async with running_proxy(replace(settings, auth_failures_per_minute=0)) as proxy:
        assert await statuses(proxy, key, 1) == [200]
        before = await queries(database_url)
        guesses = [keys.create_key().key for _ in range(300)]
        found = await asyncio.gather(*(statuses(proxy, guess, 1) for guess in guesses))
        assert found == [[401]] * 300
        assert await queries(database_url) - before < 150


async def queries(database_url: str) -> int:
    """How many transactions the database has committed."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        cursor = await connection.execute(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])
