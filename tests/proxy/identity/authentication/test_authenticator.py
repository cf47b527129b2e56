"""Who gets in, and how soon a change of a user or key takes hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from proxy.database import schema
from proxy.database.pool import connect
from proxy.identity import keys, users
from proxy.identity.authentication.change_listener import (
    GLANCE_S,
    HEARTBEAT_S,
    PROOF_S,
    READ_S,
    RECONNECT_S,
)
from tests.support.pipe import Pipe
from tests.support.postgres import Postgres
from tests.support.proxy import RunningProxy, running_proxy, settings_for
from tests.support.upstream import FakeUpstream
from tests.support.wait import until, wait_until


async def refusal(proxy: RunningProxy, header: str | None) -> tuple[int, dict[str, Any], str | None]:
    headers = {} if header is None else {"Authorization": header}
    async with proxy.request("GET", "/v1/models", headers=headers) as response:
        body = await response.json()
        return response.status, body["error"], response.headers.get("WWW-Authenticate")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "lsk_x"])
async def test_no_key_is_a_401_without_a_code(proxy: RunningProxy, header: str | None) -> None:
    """The message says how to send one."""
    status, error, challenge = await refusal(proxy, header)
    assert (status, error["code"], error["type"]) == (401, None, "invalid_request_error")
    assert "Authorization: Bearer" in error["message"]
    assert challenge == "Bearer"


async def test_a_wrong_key_is_a_401_and_never_shown_whole(proxy: RunningProxy, key: str) -> None:
    """Unknown, mistyped, of another form, or with another secret."""
    stranger = keys.create_key().key
    same_id = stranger[:4] + key[4:16] + stranger[16:-6]
    same_id += keys._checksum(same_id)
    assert keys.public_id_of(same_id) == keys.public_id_of(key)
    mistyped = key[:-8] + ("a" if key[-8] != "a" else "b") + key[-7:]
    for wrong in (stranger, same_id, mistyped, "sk-" + "x" * 40, "x", "é" * 30, key + "x"):
        status, error, _ = await refusal(proxy, f"Bearer {wrong}")
        assert (status, error["code"]) == (401, "invalid_api_key"), wrong
        assert len(wrong) < 10 or wrong not in error["message"]
    assert proxy.under_way() == 0


async def test_the_scheme_s_case_does_not_matter(proxy: RunningProxy, key: str) -> None:
    """RFC 9110, section 11.1."""
    async with proxy.request(
        "GET", "/v1/models", headers={"Authorization": f"bearer  {key}"}
    ) as response:
        assert response.status == 200


async def test_an_expired_key_is_a_403(
    proxy: RunningProxy, create_user: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that expires while the proxy knows it, to the moment."""
    expired = create_user("old", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    status, error, _ = await refusal(proxy, f"Bearer {expired}")
    assert (status, error["code"]) == (403, "key_expired")
    end = (datetime.now(UTC) + timedelta(minutes=5)).replace(microsecond=0)
    soon = create_user("soon", expires_at=end)
    for now, expected in ((end.timestamp() - 0.001, 200), (end.timestamp(), 403)):
        monkeypatch.setattr(proxy.app.operators.authenticator, "_clock", lambda now=now: now)
        async with proxy.request("GET", "/v1/models", key=soon) as response:
            assert response.status == expected


CHANGES: dict[str, tuple[Callable[[psycopg.Connection, str], object], int, str]] = {
    "deactivated": (lambda c, _: users.set_active(c, "alice", active=False), 403, "user_inactive"),
    "revoked": (
        lambda c, key: users.revoke_key(c, "alice", str(keys.public_id_of(key))),
        401,
        "invalid_api_key",
    ),
    "rotated": (lambda c, _: users.rotate_key(c, "alice", grace_s=0), 401, "invalid_api_key"),
    "deleted": (lambda c, _: users.delete_user(c, "alice"), 401, "invalid_api_key"),
    "expired": (
        lambda c, _: c.execute("UPDATE llama_api_keys SET expires_at = now()"),
        403,
        "key_expired",
    ),
}


@pytest.mark.usefixtures("notified_alone")
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_takes_hold_at_once(
    wide_proxy: RunningProxy, upstream: FakeUpstream, key: str, database_url: str, change: str
) -> None:
    """The next request is refused; what waits gets that refusal; a stream ends with it."""
    proxy = wide_proxy
    apply, status, code = CHANGES[change]
    upstream.behaviour = upstream.stream_and_stall
    stream = await proxy.chat(key, stream=True)
    upstream.behaviour = upstream.stall
    waiting = asyncio.ensure_future(proxy.chat(key))
    await until(lambda: len(upstream.received) == 2, "both requests to be with the engine")

    with connect(database_url, application="tests") as connection:
        apply(connection, key)
    async with asyncio.timeout(10):
        async with await waiting as response:
            assert response.status == status
            assert (await response.json())["error"]["code"] == code
        body = await stream.read()
    stream.close()
    assert f'"code": "{code}"'.encode() in body
    assert (await refusal(proxy, f"Bearer {key}"))[0] == status
    rows = await proxy.rows(2)
    assert [(row["status_code"], row["error"]) for row in rows] == [(status, code)] * 2
    assert proxy.under_way() == 0


async def test_a_change_takes_hold_for_what_waits_its_turn(
    proxy: RunningProxy, upstream: FakeUpstream, key: str, database_url: str
) -> None:
    """It gets the refusal, and has used up nothing; what runs at the gate goes on."""
    upstream.behaviour = upstream.stream_and_stall
    with connect(database_url, application="tests") as connection:
        other = users.create_user(connection, username="bob").key
        async with proxy.chat(other, stream=True):
            waiting = asyncio.ensure_future(proxy.chat(key))
            await until(proxy.waiting, "the request to wait")
            users.set_active(connection, "alice", active=False)
            async with await waiting as response:
                assert response.status == 403
            assert (proxy.waiting(), proxy.under_way()) == (0, 1)
    await until(lambda: proxy.under_way() == 0, "the stream to end")
    rows = {row["username"]: row for row in await proxy.rows(2)}
    assert (rows["alice"]["status_code"], rows["alice"]["admitted"]) == (403, False)
    assert rows["alice"]["queue_ms"] > 0
    assert rows["bob"]["admitted"]


async def test_grace_keeps_a_rotated_key_and_what_runs_with_it(
    wide_proxy: RunningProxy, upstream: FakeUpstream, key: str, database_url: str
) -> None:
    """Until the grace is over, both keys work; then the old one's requests end."""
    proxy = wide_proxy
    upstream.behaviour = upstream.stream_and_stall
    async with proxy.chat(key, stream=True) as stream:
        with connect(database_url, application="tests") as connection:
            new = users.rotate_key(connection, "alice", grace_s=4).key
        upstream.behaviour = None
        for valid in (new, key):
            async with proxy.chat(valid) as response:
                assert response.status == 200
        assert proxy.under_way() == 1
        assert b"key_expired" in await stream.read()


async def test_another_user_s_requests_are_untouched_by_a_change(
    wide_proxy: RunningProxy, upstream: FakeUpstream, key: str, create_user: Callable[..., str],
    database_url: str,
) -> None:  # fmt: skip
    """Only what runs with the key concerned is ended."""
    proxy = wide_proxy
    bob = create_user("bob")
    go_on = asyncio.Event()

    async def wait(request: Any) -> Any:
        await go_on.wait()
        return await upstream.stream(request)

    upstream.behaviour = wait
    alices, bobs = (asyncio.ensure_future(proxy.chat(k, stream=True)) for k in (key, bob))
    await until(lambda: len(upstream.received) == 2, "both requests to be with the engine")
    with connect(database_url, application="tests") as connection:
        users.set_active(connection, "alice", active=False)
    assert (await alices).status == 403
    go_on.set()
    async with await bobs as response:
        assert (await response.read()).endswith(b"data: [DONE]\n\n")


@pytest.mark.usefixtures("notified_alone")
async def test_limits_set_while_running_hold_from_the_next_request(
    proxy: RunningProxy, key: str, database_url: str
) -> None:
    """No restart, no wait for a cache to age."""
    async with proxy.request("GET", "/v1/models", key=key) as response:
        assert response.headers["x-ratelimit-limit-requests"] == "60"
    with connect(database_url, application="tests") as connection:
        users.set_limits(connection, "alice", rate_limit=1_000_000_000, rate_window_seconds=5)

    async def limit() -> bool:
        async with proxy.request("GET", "/v1/models", key=key) as response:
            return bool(response.headers["x-ratelimit-limit-requests"] == "1000000000")

    await until(limit, "the new limit to hold", deadline_s=10)


async def test_a_change_during_a_lost_connection_is_made_good(
    proxy: RunningProxy, key: str, database_url: str
) -> None:
    """A notification that nobody heard means 5 s of staleness at most."""
    async with proxy.request("GET", "/v1/models", key=key) as response:
        assert response.status == 200
    with connect(database_url, application="tests") as connection:
        listeners = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'llamaserve-proxy-listen'"
        ).fetchall()
        assert listeners == [(True,)]
        users.set_active(connection, "alice", active=False)

    async def refused() -> bool:
        async with proxy.request("GET", "/v1/models", key=key) as response:
            return bool(response.status == 403)

    await until(refused, "the change to hold", deadline_s=15)


async def test_a_connection_that_fell_silent_is_noticed(
    upstream: FakeUpstream, key: str, database_url: str, directory: Any
) -> None:
    """Nothing says that it is lost, the database is there: 5 s of staleness at most all the same."""
    assert HEARTBEAT_S + PROOF_S + GLANCE_S + READ_S + RECONNECT_S < 5
    async with Pipe(database_url) as pipe:
        settings = settings_for(database_url=pipe.url, backend_url=upstream.url, directory=directory)
        async with running_proxy(settings) as proxy:
            async with proxy.chat(key) as response:
                assert response.status == 200
            await pipe.fall_silent()
            with connect(database_url, application="tests") as connection:
                users.set_active(connection, "alice", active=False)

            async def refused() -> bool:
                async with proxy.chat(key) as response:
                    return bool(response.status == 403)

            await until(refused, "the change to hold", deadline_s=15)


@pytest.mark.usefixtures("notified_alone")
async def test_a_notification_of_another_s_making_does_no_harm(
    proxy: RunningProxy, key: str, database_url: str
) -> None:
    """Whatever it says: changes after it take hold."""
    async with proxy.request("GET", "/v1/models", key=key) as response:
        assert response.status == 200
    with connect(database_url, application="tests") as connection:
        connection.execute("NOTIFY llama_user_changed, 'all of them'")
        connection.execute("NOTIFY llama_user_changed")
        users.set_active(connection, "alice", active=False)

    async def refused() -> bool:
        async with proxy.request("GET", "/v1/models", key=key) as response:
            return bool(response.status == 403)

    await until(refused, "the change to hold", deadline_s=10)


@pytest.mark.usefixtures("notified_alone")
async def test_a_change_while_a_key_is_looked_up_is_not_missed(
    proxy: RunningProxy, key: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is deactivated, and the proxy told, after the query and before the key is cached."""
    verify = keys.verify_key
    authenticator = proxy.app.operators.authenticator
    await until(lambda: authenticator.hears_changes, "the proxy to listen")

    def slow_verify(key: str, hash_: str) -> bool:
        if verifications.append(key) or len(verifications) == 1:  # type: ignore[func-returns-value]
            known = authenticator._changes
            with connect(database_url, application="tests") as connection:
                users.set_active(connection, "alice", active=False)
            wait_until(lambda: authenticator._changes > known, "the notification")  # in a thread
        return verify(key, hash_)

    verifications: list[str] = []
    monkeypatch.setattr(keys, "verify_key", slow_verify)
    assert (await refusal(proxy, f"Bearer {key}"))[0] == 403
    assert len(verifications) == 2


async def test_several_authorization_headers_are_none(proxy: RunningProxy, key: str) -> None:
    """Which one counts would have to be guessed."""
    headers = [("Authorization", f"Bearer {key}"), ("Authorization", "Bearer x")]
    async with proxy.client.get(proxy.url + "/v1/models", headers=headers) as response:
        assert response.status == 401


async def test_the_database_s_restart_is_made_good_at_once(
    directory: Any, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key meets a connection that died with it, and no back-off has to run out after an outage."""
    with Postgres() as postgres:
        url = postgres.fresh_database()
        with connect(url, application="tests") as connection:
            schema.migrate(connection)
            made = [users.create_user(connection, username=name).key for name in ("a", "b", "c")]
        settings = settings_for(database_url=url, backend_url=upstream.url, directory=directory)
        async with running_proxy(settings) as proxy:
            async with proxy.chat(made[0]) as response:
                assert response.status == 200
            await proxy.rows(1)
            await asyncio.to_thread(postgres.stop)
            await asyncio.to_thread(postgres.start)
            async with proxy.chat(made[1]) as response:
                assert response.status == 200
            await proxy.rows(2)
            monkeypatch.setattr("psycopg_pool.base.AttemptWithBackoff.INITIAL_DELAY", 60.0)
            await asyncio.to_thread(postgres.stop)
            async with proxy.chat(made[2]) as response:
                assert response.status == 503
            await asyncio.to_thread(postgres.start)

            async def healed() -> bool:
                async with proxy.chat(made[2]) as response:
                    return bool(response.status == 200)

            await until(healed, "the pool to connect again", deadline_s=15)


async def test_without_the_database_known_users_go_on_and_unknown_keys_wait(
    directory: Any, upstream: FakeUpstream
) -> None:
    """A 503 for what cannot be checked, never a 401 and never a pass; then all heals by itself."""
    with Postgres() as postgres:
        url = postgres.fresh_database()
        with connect(url, application="tests") as connection:
            schema.migrate(connection)
            known = users.create_user(connection, username="known").key
            unknown = users.create_user(connection, username="unknown").key
        settings = settings_for(database_url=url, backend_url=upstream.url, directory=directory)
        async with running_proxy(settings) as proxy:
            async with proxy.chat(known) as response:
                assert response.status == 200
            await asyncio.to_thread(postgres.stop)
            async with proxy.chat(known) as response:
                assert response.status == 200
            async with proxy.chat(unknown) as response:
                assert response.status == 503
                assert (await response.json())["error"]["code"] == "auth_unavailable"
                assert int(response.headers["retry-after"]) >= 1
            await asyncio.to_thread(postgres.start)
            with connect(url, application="tests") as connection:
                users.set_active(connection, "known", active=False)

            async def healed() -> bool:
                async with proxy.chat(unknown) as new, proxy.chat(known) as old:
                    return (new.status, old.status) == (200, 403)

            await until(healed, "users to be read anew", deadline_s=15)
            statuses = await until(lambda: statuses_of(url, "known"), "the rows of the outage")
        assert statuses[:2] == [200, 200]


def statuses_of(url: str, username: str) -> list[int] | None:
    """The user's statuses in order, once there are two."""
    with connect(url, application="tests") as connection:
        rows = connection.execute(
            "SELECT status_code FROM llama_requests WHERE username = %s ORDER BY created_at",
            [username],
        ).fetchall()
    return [row[0] for row in rows] if len(rows) > 1 else None
