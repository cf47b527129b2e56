"""Changes of users and keys take hold, whoever makes them and whatever is between proxy and database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.database.pool import connect
from proxy.identity import keys, users
from proxy.identity.authentication.authenticator import Authenticator
from proxy.identity.authentication.change_listener import (
    GLANCE_S,
    HEARTBEAT_CHANNEL,
    PROOF_S,
    ChangeListener,
)
from proxy.settings import ProxySettings
from tests.support.pooler import PROGRAM, Pooler
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


async def status(proxy: RunningProxy, key: str) -> int:
    async with proxy.request("GET", "/v1/models", key=key) as response:
        await response.read()
        return int(response.status)


def new_hash(connection: psycopg.Connection, _: str) -> None:
    connection.execute("UPDATE llama_api_keys SET hash = %s", [keys.create_key().hash])


def new_public_id(connection: psycopg.Connection, _: str) -> None:
    connection.execute("UPDATE llama_api_keys SET public_id = %s", [keys.create_key().public_id])


def truncated(connection: psycopg.Connection, _: str) -> None:
    connection.execute("TRUNCATE llama_users CASCADE")


CHANGES: dict[str, Callable[[psycopg.Connection, str], None]] = {
    "hash": new_hash,
    "public_id": new_public_id,
    "truncate": truncated,
}


@pytest.mark.usefixtures("notified_alone")
@pytest.mark.parametrize("change", CHANGES)
async def test_direct_sql_takes_hold_at_once(
    proxy: RunningProxy, key: str, database_url: str, change: str
) -> None:
    """A key whose secret, public id or row is gone is refused, whoever changed it."""
    assert await status(proxy, key) == 200
    with connect(database_url, application="tests") as connection:
        CHANGES[change](connection, key)

    async def refused() -> bool:
        return await status(proxy, key) == 401

    await until(refused, "the change to hold", deadline_s=10)


@pytest.mark.usefixtures("notified_alone")
async def test_a_key_that_is_given_to_another_user_is_that_users(
    proxy: RunningProxy, key: str, database_url: str, create_user: Callable[..., str]
) -> None:
    """The limits are the new owner's."""
    create_user("bob", rate_limit=7)
    assert await status(proxy, key) == 200
    with connect(database_url, application="tests") as connection:
        connection.execute(
            "UPDATE llama_api_keys SET user_id = (SELECT id FROM llama_users WHERE username = 'bob')"
            " WHERE user_id = (SELECT id FROM llama_users WHERE username = 'alice')"
        )

    async def is_bobs() -> bool:
        async with proxy.request("GET", "/v1/models", key=key) as response:
            return bool(response.headers["x-ratelimit-limit-requests"] == "7")

    await until(is_bobs, "the change to hold", deadline_s=10)


@pytest.mark.usefixtures("notified_alone")
async def test_a_new_secret_for_the_same_public_id_works(
    proxy: RunningProxy, key: str, database_url: str
) -> None:
    """The old key is refused from then on, the new one is verified anew."""
    assert await status(proxy, key) == 200
    body = key[:-7] + ("1" if key[-7] != "1" else "2")
    new = body + keys._checksum(body)
    with connect(database_url, application="tests") as connection:
        connection.execute("UPDATE llama_api_keys SET hash = %s", [keys._HASH.hash(new)])

    async def refused() -> bool:
        return await status(proxy, key) == 401

    await until(refused, "the old key to be refused", deadline_s=10)
    assert await status(proxy, new) == 200


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
async def test_behind_a_pooler_in_transaction_mode_a_change_takes_hold_within_two_seconds(
    upstream: FakeUpstream,
    key: str,
    database_url: str,
    directory: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Notifications do not arrive there: the log says so, and known keys are read anew every second."""
    with Pooler(database_url) as pooler, caplog.at_level(logging.WARNING, "proxy.identity"):
        settings = settings_for(database_url=pooler.url, backend_url=upstream.url, directory=directory)
        async with running_proxy(settings) as proxy:
            assert await status(proxy, key) == 200
            await until(lambda: "do not arrive" in caplog.text, "the warning", deadline_s=10)
            with connect(database_url, application="tests") as connection:
                users.set_active(connection, "alice", active=False)

            async def refused() -> bool:
                return await status(proxy, key) == 403

            await until(refused, "the change to hold", deadline_s=5)


async def test_busy_connections_are_not_taken_for_a_pooler(
    proxy: RunningProxy, create_user: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """While all connections of the proxy are in use no heartbeat is sent: that proves nothing."""
    user_keys = [create_user(f"user{number}") for number in range(8)]
    with psycopg.connect(proxy.settings.database_url) as connection:
        connection.execute("LOCK TABLE llama_requests IN ACCESS EXCLUSIVE MODE")
        # Each reads its user's history, which takes a connection for as long as the table is locked.
        await asyncio.gather(*(status(proxy, key) for key in user_keys))
        await until(lambda: "couldn't get a connection" in caplog.text, "a connection to be missed")
        connection.rollback()
    assert "do not arrive" not in caplog.text


async def test_a_heartbeat_that_was_sent_late_is_not_taken_for_a_pooler(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It had no time to arrive before the proof's end: that proves nothing."""
    late: list[str] = []

    async def send(listener: ChangeListener, token: str) -> None:
        await asyncio.sleep(PROOF_S + GLANCE_S / 2)
        listener._sent = token
        await asyncio.sleep(GLANCE_S)
        late.append(token)

    monkeypatch.setattr(ChangeListener, "_send", send)
    async with running_proxy(settings):
        await until(lambda: len(late) > 1, "two late heartbeats", deadline_s=10)
    assert "do not arrive" not in caplog.text


async def test_a_slow_reading_is_not_taken_for_a_pooler(
    settings: ProxySettings, key: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The heartbeat arrives while a change is read, which takes longer than it may: it has arrived."""
    send_alone, refresh_alone = ChangeListener._send, Authenticator._refresh
    key_is_known, reading = asyncio.Event(), asyncio.Event()
    sent: list[str] = []

    async def send(listener: ChangeListener, token: str) -> None:
        if key_is_known.is_set() and not reading.is_set():
            with psycopg.connect(settings.database_url) as connection:
                connection.execute("UPDATE llama_users SET rate_limit = 7")
            await reading.wait()
        await send_alone(listener, token)
        sent.append(token)

    async def refresh(cache: Authenticator, connection: Any, user_ids: set[int] | None = None) -> None:
        if user_ids and not reading.is_set():
            reading.set()
            await asyncio.sleep(1.2 * PROOF_S)
        await refresh_alone(cache, connection, user_ids)

    monkeypatch.setattr(ChangeListener, "_send", send)
    monkeypatch.setattr(Authenticator, "_refresh", refresh)
    monkeypatch.setattr("proxy.identity.authentication.change_listener.HEARTBEAT_S", 0.01)
    async with running_proxy(settings) as proxy:
        assert await status(proxy, key) == 200
        key_is_known.set()
        await until(reading.is_set, "the change to be read")
        before = len(sent)
        await until(lambda: len(sent) > before + 1, "further heartbeats")
    assert "do not arrive" not in caplog.text


async def test_a_change_that_arrives_together_with_a_heartbeat_takes_hold(
    settings: ProxySettings, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database delivers the notifications of one transaction in one packet, the heartbeat first."""
    send_alone = ChangeListener._send
    key_is_known = False
    sent: list[str] = []

    async def send(listener: ChangeListener, token: str) -> None:
        if not key_is_known:
            await send_alone(listener, token)
        elif not sent:
            sent.append(token)
            # Whenever a heartbeat does not arrive all keys are read: that must not make up for a loss.
            monkeypatch.setattr("proxy.identity.authentication.change_listener.HEARTBEAT_S", 600.0)
            with psycopg.connect(settings.database_url) as connection:
                connection.execute("SELECT pg_notify(%s, %s)", [HEARTBEAT_CHANNEL, token])
                connection.execute("UPDATE llama_users SET is_active = false")

    monkeypatch.setattr(ChangeListener, "_send", send)
    monkeypatch.setattr("proxy.identity.authentication.change_listener.PROOF_S", 600.0)
    async with running_proxy(settings) as proxy:
        assert await status(proxy, key) == 200
        key_is_known = True

        async def refused() -> bool:
            return await status(proxy, key) == 403

        await until(lambda: sent, "the change")
        await until(refused, "the change to hold")
