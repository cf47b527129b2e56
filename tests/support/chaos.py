"""Users at random, while the proxy, the server and Postgres are killed at random; then the accounts.

`Storm` drives it and notes what each client saw. `accounts` holds that against the database: each
answer that was seen whole has its row, and no window was exceeded.
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
"""What may be killed. A part that is killed again sooner counts as failing: it is started later."""
REFUSALS = (404, 429)
"""By the proxy itself: above 10 a second and user they share rows."""
NOBODY_S = ("invalid_api_key", "too_many_auth_failures", "auth_unavailable")
"""Codes of answers to requests of which it was not known whose they are: they have no row."""
WORDS = "Tell me about llamas and how they are kept in the high mountains".split()


@dataclass(frozen=True, kw_only=True)
class User:
    """One user, and a limit that is meant to be hit or not."""

    name: str
    key: str = field(repr=False)
    limit: int
    window_s: float
    at_once: int


@dataclass(kw_only=True)
class Seen:
    """One request as its client saw it. `whole`: the answer came to its end."""

    user: str
    whole: bool
    id: UUID | None = None
    status: int = 0
    body: bytes = field(default=b"", repr=False)
    sent_bytes: int = 0

    @property
    def code(self) -> str | None:
        """The error's code, of an answer or of an event at the end of a stream."""
        last = self.body.strip().rsplit(b"\n\n", 1)[-1].removeprefix(b"data: ")
        try:
            error = json.loads(last)["error"]
        except (ValueError, KeyError, TypeError):
            return None
        return str(error["code"] or error["type"])


@dataclass
class Storm:
    """What happened. `run` for a while, then `settle`, then look at `accounts`."""

    appliance: Appliance
    users: list[User]
    seed: int
    victims: tuple[str, ...] = tuple(REST_S)
    seen: list[Seen] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    strangers: Counter[tuple[int, str]] = field(default_factory=Counter)
    """What users got whom the proxy did not know yet, while there was no database."""

    async def run(self, seconds: float, *, kill_every_s: float) -> None:
        """Let all loose for so long; no request lasts longer than a minute more."""
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
                    own = random.Random(chance.random())  # noqa: S311
                    group.create_task(self._use(client, user, own, over))
            if kill_every_s:
                group.create_task(self._kill(chance, over, kill_every_s))

    async def _kill(self, chance: random.Random, over: float, every_s: float) -> None:
        killed_at: dict[str, float] = {}
        while time.monotonic() + every_s < over:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * every_s)
            now = time.monotonic()
            ready = [one for one in self.victims if now - killed_at.get(one, 0.0) > REST_S[one]]
            if not ready:
                continue
            victim = chance.choice(ready)
            status = await asyncio.to_thread(self.appliance.status)
            if pid := status["processes"][victim]["pid"]:
                os.kill(pid, signal.SIGKILL)
                killed_at[victim] = time.monotonic()
                self.kills[victim] += 1

    async def _use(
        self, client: aiohttp.ClientSession, user: User, chance: random.Random, over: float
    ) -> None:
        while time.monotonic() < over:
            seen = await self._send(client, user, chance)
            self.seen.append(seen)
            # Nothing to be had just now: not a busy loop.
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
    """Method, path, body, and whether the client leaves in the midst of the answer."""
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
    """All records, by id."""
    with psycopg.connect(url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return cursor.execute("SELECT * FROM llama_requests ORDER BY id").fetchall()


def accounts(storm: Storm, rows: list[dict[str, Any]]) -> list[str]:
    """What does not add up, a line each; nothing where all is right."""
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
        f"{of}: {count} refusals have no row, and {folded[of]} were folded"
        for of, count in unrecorded.items()
        if folded[of] < count
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
    """The windows in which more was admitted than may be, by each row's own time."""
    admitted: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["admitted"]:
            at = (row["admitted_at"] or row["created_at"]).timestamp()
            admitted[row["username"]] += [at] * row["count"]
    wrong = []
    for user in users:
        times = sorted(admitted[user.name])
        for first, last in zip(times, times[user.limit :], strict=False):
            # Of two clock readings, a millisecond apart at most: the window's and the record's.
            if last - first < user.window_s - 0.005:
                wrong.append(f"{user.name}: {user.limit + 1} admitted within {last - first:.3f} s")
    return wrong


def make_users(appliance: Appliance) -> list[User]:
    """Two who use it freely, one who meets a limit now and then, one who runs against it."""
    limits = {"ann": (10**6, 60.0, 3), "bob": (10**6, 60.0, 3), "lil": (20, 5.0, 2), "max": (5, 2.0, 2)}
    made = []
    for name, (limit, window_s, at_once) in limits.items():
        arguments = ["--rate-limit", str(limit), "--rate-window-seconds", str(window_s)]
        key = appliance.cli("create-user", "--username", name, "--quiet", *arguments)
        made.append(User(name=name, key=key, limit=limit, window_s=window_s, at_once=at_once))
    return made


def database_url_of(appliance: Appliance) -> str:
    """Of the appliance's own database."""
    return (appliance.root / "runtime/data/postgres.url").read_text().strip()


async def outage(storm: Storm, seconds: float) -> None:
    """Stop Postgres as an operator would, for so long; meanwhile try a user that the proxy never saw."""
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
    """What nobody may find in a file: each secret by its name."""
    found = {f"{user.name}'s key": user.key.encode() for user in users}
    found["the server's key"] = appliance.server_key.encode()
    url = urlsplit(database_url_of(appliance))
    assert url.password
    found["the database's password"] = url.password.encode()
    return found


def leaks(appliance: Appliance, users: list[User]) -> list[str]:
    """Files of the checkout, and of the database's own place, that hold a secret and may not."""
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
            content = path.read_bytes()
            wrong += [
                f"{where} holds {what}"
                for what, secret in secrets.items()
                if secret in content and where not in allowed.get(what, ())
            ]
    return wrong


def command_line_leaks(appliance: Appliance, users: list[User]) -> list[str]:
    """Processes of the checkout that show a secret to whoever lists them."""
    lines = appliance.leftovers()
    return [
        what
        for what, secret in secrets_of(appliance, users).items()
        if any(secret.decode() in line for line in lines)
    ]
