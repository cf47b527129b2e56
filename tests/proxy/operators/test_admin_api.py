"""The admin API: what the user command can do, over HTTP, for administrators alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.operators.api import LIVE, MAX_WAITING, OPERATIONS
from proxy.operators.openapi import operations
from proxy.settings import ProxySettings
from tests.bin.conftest import Cli, sealed_environment
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.upstream import FakeUpstream
from tests.support.wait import until


class Admin:
    """A client of the admin API."""

    def __init__(self, proxy: RunningProxy, key: str) -> None:
        self.proxy = proxy
        self.key = key

    async def __call__(self, method: str, path: str, *, expect: int = 200, **body: Any) -> Any:
        arguments = {"json": body} if method in ("POST", "PATCH") else {"params": body}
        async with self.proxy.request(method, f"/admin/v1{path}", key=self.key, **arguments) as response:
            answer = await response.json()
            assert response.status == expect, answer
            return answer

    async def error(self, method: str, path: str, *, expect: int, **body: Any) -> dict[str, Any]:
        """The error that a call gets."""
        answer: dict[str, Any] = (await self(method, path, expect=expect, **body))["error"]
        return answer


@pytest.fixture
async def admin(proxy: RunningProxy, admin_key: str) -> Admin:
    """The administrator root as a client."""
    return Admin(proxy, admin_key)


def paths() -> list[tuple[str, str]]:
    """Every operation, with something in place of its parameters."""
    return [(one.method, one.path.replace("{", "").replace("}", "")) for one in operations()]


async def test_every_operation_is_for_administrators_alone(proxy: RunningProxy, key: str) -> None:
    """No key: 401; a user's: 403. Nothing is done, even with a body that makes sense."""
    body = {"username": "mallory", "name": "mallory", "arguments": ["list-users"]}
    assert len(paths()) == len(OPERATIONS) + 4
    for method, path in paths():
        for sent, status in ((None, 401), (key, 403)):
            arguments = {"json": body} if method in ("POST", "PATCH") else {}
            async with proxy.request(method, path, key=sent, **arguments) as response:
                assert response.status == status, (method, path)
    with psycopg.connect(proxy.settings.database_url) as connection:
        assert connection.execute("SELECT username FROM llama_users").fetchall() == [("alice",)]


async def test_a_user_is_made_changed_and_deleted(admin: Admin) -> None:
    """The key is in the one response, and works; a change holds at once."""
    made = await admin("POST", "/users", expect=201, username="bob", rate_limit=5, expires="30d")
    assert made["user"]["rate_limit"] == 5
    assert made["user"]["keys"][0]["public_id"] == made["public_id"]
    async with admin.proxy.chat(made["key"]) as response:
        assert response.status == 200
    changed = await admin("PATCH", "/users/bob", rate_limit=None, weight=2.5, is_active=False)
    assert (changed["rate_limit"], changed["weight"], changed["is_active"]) == (None, 2.5, False)
    await until(lambda: _status(admin.proxy, made["key"], 403), "the user to be shut out")
    await admin("PATCH", "/users/bob", is_active=True)
    rotated = await admin("POST", "/users/bob/keys", expect=201, grace="1h")
    assert rotated["replaced"] == [made["public_id"]]
    shown = await admin("DELETE", f"/users/bob/keys/{rotated['public_id']}")
    assert shown["keys"][1]["state"] == "revoked"
    assert "pbkdf2" not in json.dumps(shown)
    assert await admin("DELETE", "/users/bob") == {"deleted": "bob"}
    assert (await admin.error("GET", "/users/bob", expect=404))["code"] == "not_found"


async def _status(proxy: RunningProxy, key: str, expected: int) -> bool:
    async with proxy.chat(key) as response:
        return bool(response.status == expected)


async def test_calls_are_logged_without_keys(admin: Admin, caplog: pytest.LogCaptureFixture) -> None:
    """With the administrator's name and the outcome. A whole key is as good as its public id."""
    caplog.set_level("INFO", "proxy.operators")
    made = await admin("POST", "/users", expect=201, username="bob")
    await admin("DELETE", f"/users/bob/keys/{made['key']}")
    await admin.error("GET", "/users/eve", expect=404)
    logged = [record.fields for record in caplog.records if hasattr(record, "fields")]
    assert [(line["user"], line["status"]) for line in logged] == [
        ("root", 201), ("root", 200), ("root", 404),
    ]  # fmt: skip
    assert logged[1]["path"] == f"/admin/v1/users/bob/keys/{made['key'][:8]}…"


async def test_invitations_are_made_listed_and_withdrawn(admin: Admin) -> None:
    """The link is in the one response; the user is created without a key."""
    made = await admin("POST", "/users/bob/invitation", expect=201, valid="1h", rate_limit=5)
    assert made["link"].startswith("http://127.0.0.1:8002/invitation/lsi_")
    user = await admin("GET", "/users/bob")
    assert (user["keys"], user["rate_limit"], made["is_new_user"]) == ([], 5, True)
    (listed,) = (await admin("GET", "/invitations"))["data"]
    assert (listed["username"], listed["is_open"]) == ("bob", True)
    assert made["link"].rpartition("/")[2] not in json.dumps(listed)
    await admin("DELETE", "/users/bob/invitation")
    assert (await admin.error("DELETE", "/users/bob/invitation", expect=404))["code"] == "not_found"
    refused = await admin.error("POST", "/users/bob/invitation", expect=400, valid="1000d")
    assert refused["param"] == "valid"


async def test_groups_are_made_filled_and_deleted(admin: Admin) -> None:
    """A user joins by a change of the user."""
    await admin("POST", "/groups", expect=201, name="lab", token_budget=100, budget_period="day")
    await admin("POST", "/users", expect=201, username="bob", group="lab")
    assert (await admin("GET", "/groups/lab"))["members"] == ["bob"]
    changed = await admin("PATCH", "/groups/lab", rate_limit=3, token_budget=None)
    assert (changed["rate_limit"], changed["token_budget"]) == (3, None)
    assert (await admin("PATCH", "/users/bob", group=None))["group"] is None
    await admin("DELETE", "/groups/lab")
    assert (await admin("GET", "/groups"))["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "param"),
    [
        ("POST", "/users", {}, 400, "missing_required_parameter", "username"),
        ("POST", "/users", {"username": "a b"}, 400, "invalid_value", "username"),
        ("POST", "/users", {"username": 5}, 400, "invalid_value", "username"),
        ("POST", "/users", {"username": "root"}, 409, "already_exists", None),
        ("POST", "/users", {"username": "bob", "rate_limit": 0}, 400, "invalid_value", "rate_limit"),
        ("POST", "/users", {"username": "bob", "rate_limit": True}, 400, "invalid_value", "rate_limit"),
        ("POST", "/users", {"username": "bob", "group": "none"}, 404, "not_found", None),
        (
            "POST",
            "/users",
            {"username": "bob", "expires": "1900-01-01"},
            400,
            "invalid_value",
            "expires",
        ),
        ("POST", "/users", {"username": "bob", "colour": "red"}, 400, "invalid_value", "colour"),
        ("PATCH", "/users/root", {"is_active": "maybe"}, 400, "invalid_value", "is_active"),
        ("PATCH", "/users/root", {"budget_period": "year"}, 400, "invalid_value", "budget_period"),
        ("GET", "/users", {"limit": 501}, 400, "invalid_value", "limit"),
        ("GET", "/requests", {"status": "ok"}, 400, "invalid_value", "status"),
        ("GET", "/requests/7", {}, 400, "invalid_value", "id"),
        ("GET", "/audit", {"after": "x"}, 400, "invalid_value", "after"),
        ("PUT", "/users", {}, 405, "method_not_allowed", None),
        ("GET", "/nothing", {}, 404, "unknown_url", None),
        ("POST", "/commands", {"arguments": ["init-db"]}, 400, "invalid_value", "arguments"),
        ("POST", "/commands", {"arguments": ["list-users", "-h"]}, 400, "invalid_value", "arguments"),
        ("POST", "/commands", {"arguments": "list-users"}, 400, "invalid_value", "arguments"),
    ],
)
async def test_bad_calls_say_what_is_wrong(
    admin: Admin, method: str, path: str, body: dict[str, Any], status: int, code: str, param: str
) -> None:
    """With the field's name. Nothing is left half done."""
    error = await admin.error(method, path, expect=status, **body)
    assert (error["code"], error["param"]) == (code, param)
    with psycopg.connect(admin.proxy.settings.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM llama_users").fetchone() == (1,)


async def test_lists_come_in_pages(admin: Admin, create_user: Callable[..., str]) -> None:
    """Every row once, whatever the size of a page."""
    keys = [create_user(f"user{number}") for number in range(5)]
    for key in keys:
        await _status(admin.proxy, key, 200)
    await admin.proxy.rows(5)
    for number in range(3):
        await admin("POST", "/groups", expect=201, name=f"group{number}")
        await admin("POST", f"/users/guest{number}/invitation", expect=201)
    for path, name, count in (
        ("/users", "username", 9),
        ("/groups", "name", 3),
        ("/invitations", "username", 3),
        ("/requests", "id", 5),
        ("/audit", "id", 23),
    ):
        found: list[Any] = []
        after: dict[str, Any] = {}
        while True:
            page = await admin("GET", path, limit=2, **after)
            assert len(page["data"]) <= 2
            found += [row[name] for row in page["data"]]
            if not page["has_more"]:
                break
            after = {"after": page["next"]}
        assert len(found) == len(set(found)) == count, path
    assert (await admin("GET", "/requests", user="user3"))["data"][0]["username"] == "user3"
    assert (await admin("GET", "/requests", status=429))["data"] == []


async def test_a_request_is_found_by_the_id_of_its_response(admin: Admin) -> None:
    """The value of x-request-id, as a user copies it from an error."""
    async with admin.proxy.chat(admin.key) as response:
        request_id = response.headers["x-request-id"]
    await admin.proxy.rows(1)
    found = await admin("GET", f"/requests/{request_id}")
    assert (found["id"], found["username"], found["status_code"]) == (request_id, "root", 200)
    assert (await admin("GET", "/usage"))["data"][0]["name"] == "root"


async def test_what_runs_and_waits_is_seen_and_can_be_ended(
    admin: Admin, upstream: FakeUpstream, create_user: Callable[..., str]
) -> None:
    """With user, place and progress. The client of an ended request learns why; the audit says who."""
    upstream.behaviour = upstream.hold
    keys = [create_user(name) for name in ("alice", "bob", "carol")]
    chats = []
    for number, key in enumerate(keys):
        chats.append(asyncio.create_task(_answer(admin.proxy, key)))
        await until(partial(_stands, admin.proxy, number), "the next runs or waits")
    state = await admin("GET", "/live")
    assert [one["user"] for one in state["running"]] == ["alice"]
    assert [(one["user"], one["place"]) for one in state["waiting"]] == [("bob", 1), ("carol", 2)]
    assert state["queues"]["generate"] == {"waiting": 2, "running": 1, "slots": 1}
    assert keys[0] not in json.dumps(state)
    ended = state["waiting"][0]["id"]
    assert await admin("DELETE", f"/live/{ended}") == {"ended": ended}
    status, answer = await chats[1]
    assert (status, answer["error"]["code"]) == (503, "ended_by_administrator")
    assert await admin.error("DELETE", f"/live/{ended}", expect=404)
    upstream.go_on.set()
    assert [(await chats[number])[0] for number in (0, 2)] == [200, 200]
    last = (await admin("GET", "/audit"))["data"][-1]
    assert (last["action"], last["username"]) == ("end request", "bob")
    assert last["application"] == "llamaserve-admin/root"


def _stands(proxy: RunningProxy, ahead: int) -> bool:
    return proxy.at_engine() == 1 and proxy.waiting() == ahead


async def _answer(proxy: RunningProxy, key: str) -> tuple[int, Any]:
    async with proxy.chat(key) as response:
        return response.status, await response.json()


async def test_the_command_works_from_another_machine(
    admin: Admin, directory: Path, database_url: str
) -> None:
    """The same output, errors and exit codes as on the server; the key is in a file."""
    key_file = directory / "admin key"
    key_file.write_text(admin.key + "\n")
    there = ("--url", admin.proxy.url, "--admin-key-file", str(key_file))
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    client = Cli(directory, sealed_environment(LLAMA_SERVER_DATABASE_URL=nowhere))

    async def cli(*arguments: str, code: int = 0) -> str:
        run = await asyncio.to_thread(client.run, *arguments)
        assert run.returncode == code, run.stderr
        return run.stdout if code == 0 else run.stderr

    key = (await cli(*there, "create-user", "--username", "bob", "--quiet")).strip()
    assert await _status(admin.proxy, key, 200)
    assert json.loads(await cli(*there, "show-user", "--username", "bob", "--json"))["username"] == "bob"
    assert "bob" in await cli(*there, "list-users")
    assert await cli(*there, "delete-user", "--username", "bob", "--yes") == (
        "bob is deleted. The records of their requests stay.\n"
    )
    error = await cli(*there, "show-user", "--username", "bob", code=1)
    assert error == "error: There is no user bob: list-users shows who there is\n"
    assert "init-db works on the server itself" in await cli(*there, "init-db", code=1)
    assert "go together" in await cli("--url", admin.proxy.url, "list-users", code=2)
    assert "the following arguments are required" in await cli(*there, "show-user", code=2)
    key_file.write_text("lsk_wrong\n")
    assert "Incorrect API key" in await cli(*there, "list-users", code=1)


async def test_the_description_names_every_operation(proxy: RunningProxy) -> None:
    """As OpenAPI and as a page that loads nothing from elsewhere and runs no script."""
    async with proxy.request("GET", "/admin/openapi.json") as response:
        document = await response.json()
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(one.method, one.path) for one in operations()}
    ids = [
        operation["operationId"] for item in document["paths"].values() for operation in item.values()
    ]
    assert len(set(ids)) == len(ids)
    async with proxy.request("GET", "/admin/docs") as response:
        page = await response.text()
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert all(path in page for _, path in described)
    assert "<script" not in page
    assert "http" not in page.replace("HTTP", "")


async def test_a_slow_database_does_not_pile_up_calls(admin: Admin, settings: ProxySettings) -> None:
    """Beyond a bound calls get a 503 at once; users are served meanwhile."""
    with psycopg.connect(settings.database_url) as connection:
        await admin("GET", "/users")
        connection.execute("LOCK TABLE llama_groups IN ACCESS EXCLUSIVE MODE")
        calls = [asyncio.create_task(_groups(admin)) for _ in range(MAX_WAITING + 3)]
        await until(lambda: sum(call.done() for call in calls) == 3, "three are refused")
        connection.rollback()
    assert sorted(await asyncio.gather(*calls)) == [200] * MAX_WAITING + [503] * 3


async def _groups(admin: Admin) -> int:
    async with admin.proxy.request("GET", "/admin/v1/groups", key=admin.key) as response:
        return int(response.status)


async def test_what_is_left_of_a_user_s_limits(
    admin: Admin, key: str, create_user: Callable[..., str]
) -> None:
    """What the user is told, without a record of its own; with no key too. A stranger is a 404."""
    async with admin.proxy.chat(key) as response:
        assert response.status == 200
    async with admin.proxy.request("GET", "/v1/usage", key=key) as response:
        told = await response.json()
    assert told["windows"][0]["used"] == 1
    found = await admin("GET", "/users/alice/limits")
    assert {**found["windows"][0], "resets_at": ""} == {**told["windows"][0], "resets_at": ""}
    await admin("POST", "/users/keyless/invitation", expect=201, token_limit=9)
    assert (await admin("GET", "/users/keyless/limits"))["windows"][1]["limit"] == 9
    assert (await admin.error("GET", "/users/nobody/limits", expect=404))["code"] == "not_found"
    assert (await admin.error("POST", "/users/alice/limits", expect=405))["code"] == "method_not_allowed"
    assert [row["path"] for row in await admin.proxy.rows(2)] == ["/v1/chat/completions", "/v1/usage"]


async def test_without_a_database_the_live_state_is_there(
    settings: ProxySettings, admin_key: str
) -> None:
    """What needs none goes on for an administrator who is known; the rest says what is missing."""
    async with running_proxy(settings) as proxy:
        admin = Admin(proxy, admin_key)
        await admin("GET", "/users")
        proxy.app.operators.api._database_url = "postgresql://nobody@127.0.0.1:1/none"
        assert await admin("GET", LIVE.removeprefix("/admin/v1"))
        error = await admin.error("GET", "/users", expect=503)
        assert error["code"] == "database_unavailable"
