"""Random requests while proxy, server and Postgres are killed at random, and a check of the records.

`Storm` sends the requests and remembers what each client saw. `accounts` compares that with the
database: each complete response has its row, and no rate window was exceeded.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import psycopg
from psycopg.rows import dict_row

from tests.support.appliance import Appliance

REST_S = {"proxy": 4.0, "server": 11.0, "postgres": 4.0}
"""Seconds between two kills of a part. supervisord delays the start of one that fails more often."""
REFUSALS = (404, 429)
"""Statuses of refusals by the proxy. Above 10 a second and user, refusals share rows."""
NOBODY_S = ("invalid_api_key", "too_many_auth_failures", "auth_unavailable")
"""Error codes of requests whose user is unknown: they have no row."""
WORDS = "Tell me about llamas and how they are kept in the high mountains".split()


@dataclass(frozen=True, kw_only=True)
class User:
    """One user with a rate limit; some limits are low, so that they are hit."""

    name: str
    key: str = field(repr=False)
    limit: int
    window_s: float
    at_once: int


@dataclass(kw_only=True)
class Seen:
    """One request as its client saw it. `whole`: the response was complete."""

    user: str
    whole: bool
    id: UUID | None = None
    status: int = 0
    body: bytes = field(default=b"", repr=False)
    sent_bytes: int = 0

    @property
    def code(self) -> str | None:
        """The error code in the response, or in the last event of a stream."""
        last = self.body.strip().rsplit(b"\n\n", 1)[-1].removeprefix(b"data: ")
        try:
            error = json.loads(last)["error"]
        except (ValueError, KeyError, TypeError):
            return None
        return str(error["code"] or error["type"])


@dataclass
class Storm:
    """Sends requests, kills programs and records both. `run`, then `settled`, then check `accounts`."""

    appliance: Appliance
    users: list[User]
    seed: int
    victims: tuple[str, ...] = tuple(REST_S)
    pause_s: float = 0.0
    """How long a user thinks between two requests, on average."""
    seen: list[Seen] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    killed_at: dict[str, float] = field(default_factory=dict)
    """When each part was last killed, in monotonic seconds."""
    strangers: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Status and code of requests by a user not yet cached, while the database was down."""

    async def run(self, seconds: float, *, kill_every_s: float) -> None:
        """Send requests and kill programs for this long. The last requests take up to a minute more."""
        chance = random.Random(self.seed)  # noqa: S311 - no secret
        over = time.monotonic() + seconds
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as client,
            asyncio.TaskGroup() as group,
        ):
            for user in self.users:
                for _ in range(user.at_once):
                    its_chance = random.Random(chance.random())  # noqa: S311
                    group.create_task(self._use(client, user, its_chance, over))
            if kill_every_s:
                group.create_task(self._kill(chance, over, kill_every_s))

    async def _kill(self, chance: random.Random, over: float, every_s: float) -> None:
        while time.monotonic() + every_s < over:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * every_s)
            now = time.monotonic()
            ready = [one for one in self.victims if now - self.killed_at.get(one, 0.0) > REST_S[one]]
            if not ready:
                continue
            victim = chance.choice(ready)
            status = await asyncio.to_thread(self.appliance.status)
            if pid := status["processes"][victim]["pid"]:
                os.kill(pid, signal.SIGKILL)
                self.killed_at[victim] = time.monotonic()
                self.kills[victim] += 1

    async def _use(
        self, client: aiohttp.ClientSession, user: User, chance: random.Random, over: float
    ) -> None:
        while time.monotonic() < over:
            seen = await self._send(client, user, chance)
            self.seen.append(seen)
            if self.pause_s:
                await asyncio.sleep(chance.uniform(0, 2 * self.pause_s))
            # Pause after a refusal, so that this is no busy loop.
            if seen.status not in (200, 429):
                await asyncio.sleep(0.1)
            elif seen.status == 429:
                await asyncio.sleep(0.02)

    async def _send(self, client: aiohttp.ClientSession, user: User, chance: random.Random) -> Seen:
        method, path, body, leaves = _some_request(chance)
        key = user.key if chance.random() > 0.03 else user.key[:-1] + "?"
        seen = Seen(user=user.name, whole=False, sent_bytes=len(body))
        try:
            async with client.request(
                method,
                self.appliance.proxy_url + path,
                data=body or None,
                headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            ) as response:
                seen.status = response.status
                seen.id = _id_of(response)
                if leaves:
                    await response.content.readany()
                    return seen
                seen.body = await response.read()
                seen.whole = True
        except (aiohttp.ClientError, TimeoutError):
            pass
        return seen


def _some_request(chance: random.Random) -> tuple[str, str, bytes, bool]:
    """Method, path, body, and True if the client is to leave during the response."""
    kind = chance.choices(
        ["stream", "whole", "leave", "models", "tokens", "invalid", "nowhere", "no json"],
        [6, 5, 2, 2, 2, 2, 1, 1],
    )[0]
    chat: dict[str, Any] = {
        "messages": [{"role": "user", "content": " ".join(chance.choices(WORDS, k=5))}],
        "max_tokens": chance.randint(1, 24),
    }
    match kind:
        case "models":
            return "GET", "/v1/models", b"", False
        case "tokens":
            return "POST", "/extras/tokenize/count", b'{"input": "Tell me"}', False
        case "invalid":
            chat["temperature"] = -3
        case "nowhere":
            return "POST", "/v1/nowhere", json.dumps(chat).encode(), False
        case "no json":
            return "POST", "/v1/completions", b'{"prompt": ', False
    if kind in ("stream", "leave"):
        chat["stream"] = True
    return "POST", "/v1/chat/completions", json.dumps(chat).encode(), kind == "leave"


def _id_of(response: aiohttp.ClientResponse) -> UUID | None:
    text = response.headers.get("x-request-id", "")
    return UUID(text.removeprefix("req_")) if text.startswith("req_") else None


def rows_of(url: str) -> list[dict[str, Any]]:
    """All request records, ordered by id."""
    with psycopg.connect(url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute("SELECT * FROM llama_requests ORDER BY id").fetchall()


def accounts(storm: Storm, rows: list[dict[str, Any]]) -> list[str]:
    """Compare what clients saw with the records; one line for each contradiction."""
    by_id = {row["id"]: row for row in rows}
    wrong = []
    unrecorded: Counter[tuple[str, int]] = Counter()
    for seen in storm.seen:
        if not seen.whole or seen.id is None:
            continue
        row = by_id.get(seen.id)
        if row is not None:
            wrong += _differences(seen, row)
        elif seen.code in NOBODY_S:
            continue
        elif seen.status in REFUSALS:
            unrecorded[seen.user, seen.status] += 1  # folded into another's row, if all is right
        else:
            wrong.append(f"{seen} has no row")
    folded: Counter[tuple[str, int]] = Counter()
    for row in rows:
        folded[row["username"], row["status_code"]] += row["count"] - 1
    wrong += [
        f"{key}: {count} refusals have no row, and {folded[key]} were folded"
        for key, count in unrecorded.items()
        if folded[key] < count
    ]
    # Every row stands for requests that were sent.
    sent = Counter(seen.user for seen in storm.seen)
    counted: Counter[str] = Counter()
    for row in rows:
        counted[row["username"]] += row["count"]
    wrong += [
        f"{name}: {counted[name]} requests in the rows, {sent[name]} sent"
        for name in counted
        if counted[name] > sent[name]
    ]
    return wrong + _exceeded(storm.users, rows)


def _differences(seen: Seen, row: dict[str, Any]) -> list[str]:
    expected: dict[str, Any] = {"username": seen.user}
    if row["count"] == 1:
        expected["response_bytes"] = len(seen.body)
    if seen.status != 200 or seen.code is None:
        expected["status_code"] = seen.status
    if seen.code is not None and seen.status != 400:  # those of the engine have no code of ours
        expected["error"] = seen.code
    if row["admitted"] and row["error"] is None:
        expected["request_bytes"] = seen.sent_bytes
    return [
        f"{seen}: {name} is {row[name]!r} and not {value!r}"
        for name, value in expected.items()
        if row[name] != value
    ]


def _exceeded(users: list[User], rows: list[dict[str, Any]]) -> list[str]:
    """Rate windows in which more requests were admitted than the limit, by the rows' times."""
    admitted: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["admitted"]:
            at = (row["admitted_at"] or row["created_at"]).timestamp()
            admitted[row["username"]] += [at] * row["count"]
    wrong = []
    for user in users:
        times = sorted(admitted[user.name])
        for first, last in zip(times, times[user.limit :], strict=False):
            # The window and the record read the clock separately, at most a millisecond apart.
            if last - first < user.window_s - 0.005:
                wrong.append(f"{user.name}: {user.limit + 1} admitted within {last - first:.3f} s")
    return wrong


def make_users(appliance: Appliance) -> list[User]:
    """Create two users without a limit, one who hits it sometimes, and one who hits it always."""
    limits = {"ann": (10**6, 60.0, 3), "bob": (10**6, 60.0, 3), "lil": (20, 5.0, 2), "max": (5, 2.0, 2)}
    made = []
    for name, (limit, window_s, at_once) in limits.items():
        arguments = ["--rate-limit", str(limit), "--rate-window-seconds", str(window_s)]
        key = appliance.cli("create-user", "--username", name, "--quiet", *arguments)
        made.append(User(name=name, key=key, limit=limit, window_s=window_s, at_once=at_once))
    return made


def database_url_of(appliance: Appliance) -> str:
    """The URL of the appliance's embedded database."""
    return (appliance.root / "runtime/data/postgres.url").read_text().strip()


async def outage(storm: Storm, seconds: float) -> None:
    """Stop Postgres for this long; meanwhile send requests of a user that is not cached."""
    appliance = storm.appliance
    name = f"new{len(storm.users)}"
    stranger = appliance.cli("create-user", "--username", name, "--quiet")
    await asyncio.to_thread(appliance.supervision, "stop", "postgres")
    try:
        async with aiohttp.ClientSession() as client:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                headers = {"Authorization": f"Bearer {stranger}"}
                async with client.get(appliance.proxy_url + "/v1/models", headers=headers) as response:
                    code = (await response.json())["error"]["code"]
                    storm.strangers[response.status, code] += 1
                await asyncio.sleep(0.5)
    finally:
        await asyncio.to_thread(appliance.supervision, "start", "postgres")


async def settled(storm: Storm, *, deadline_s: float) -> list[dict[str, Any]]:
    """All records, once all is up and the accounts add up, or will not any more."""
    await asyncio.to_thread(storm.appliance.until_well, deadline_s=deadline_s)
    url = database_url_of(storm.appliance)
    end = time.monotonic() + deadline_s
    while accounts(storm, rows := rows_of(url)) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    return rows


def secrets_of(appliance: Appliance, users: list[User]) -> dict[str, bytes]:
    """The secrets that no file may contain, by name."""
    found = {f"{user.name}'s key": user.key.encode() for user in users}
    found["the server's key"] = appliance.server_key.encode()
    url = urlsplit(database_url_of(appliance))
    assert url.password
    found["the database's password"] = url.password.encode()
    return found


def leaks(appliance: Appliance, users: list[User]) -> list[str]:
    """Files of the checkout and of the database directory that contain a secret they must not."""
    allowed = {
        "the server's key": {"runtime/config.env"},
        "the database's password": {"runtime/data/postgres.url"},
    }
    wrong = []
    secrets = secrets_of(appliance, users)
    for folder, _, names in os.walk(appliance.root, followlinks=True):
        for name in names:
            path = Path(folder, name)
            if not path.is_file():
                continue
            where = str(path.relative_to(appliance.root))
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # removed meanwhile
            wrong += [
                f"{where} holds {what}"
                for what, secret in secrets.items()
                if secret in content and where not in allowed.get(what, ())
            ]
    return wrong


def command_line_leaks(appliance: Appliance, users: list[User]) -> list[str]:
    """Names of the secrets that a process of the checkout shows in its command line."""
    lines = appliance.leftovers()
    return [
        what
        for what, secret in secrets_of(appliance, users).items()
        if any(secret.decode() in line for line in lines)
    ]
