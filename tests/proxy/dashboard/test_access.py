"""Nobody sees or does anything without a session, and a session ends when its key does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time

import aiohttp
import pytest

from proxy.dashboard.access.sessions import MAX_SOCKETS_PER_USER
from proxy.dashboard.layout.frame import CLOSED
from proxy.dashboard.pages import PAGES
from proxy.database.pool import connect
from proxy.identity import users
from tests.support.dashboard import Browser, Stack, page_id_of
from tests.support.wait import until

SOCKET_REFUSED = '44{"message":"Implicit handshake failed"}'


@pytest.mark.parametrize("path", [page.path for page in PAGES])
async def test_a_page_needs_a_session(visitor: Browser, path: str) -> None:
    """Without a session every page leads to the login, and nothing of it is sent."""
    status, text, headers = await visitor.get(path)
    assert (status, text) == (303, "")
    assert headers["Location"] in ("/login", f"/login?next={path}")


async def test_pages_for_administrators(stack: Stack, visitor: Browser) -> None:
    """A user gets a 403 where only administrators may be, an administrator the page."""
    restricted = [page.path for page in PAGES if page.admin_only]
    assert restricted
    for username, expected in (("alice", 403), ("admin", 200)):
        await visitor.log_in(stack.keys[username])
        for path in restricted:
            status, text, _ = await visitor.get(path)
            assert status == expected
            assert ("Only administrators can see this page" in text) == (expected == 403)


async def test_a_session_cookie(stack: Stack, visitor: Browser) -> None:
    """Scripts cannot read the cookie, other sites do not send it, and it is not the key."""
    _, _, headers = await visitor.post("/login", {"key": stack.keys["alice"]})
    cookie = headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stack.keys["alice"].lower() not in cookie


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_forms_of_other_sites(stack: Stack, visitor: Browser, origin: str) -> None:
    """A form or a socket of another site is refused, with the cookie too."""
    status, _, headers = await visitor.post("/login", {"key": stack.keys["alice"]}, Origin=origin)
    assert status == 403
    assert "Set-Cookie" not in headers
    await visitor.log_in(stack.keys["alice"])
    _, text, _ = await visitor.get("/usage")
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        async with visitor.socket(page_id_of(text), Origin=origin):
            pass


async def test_headers_of_every_page(stack: Stack, visitor: Browser) -> None:
    """Scripts run with the nonce of their own response alone, and no page is framed."""
    await visitor.log_in(stack.keys["alice"])
    nonces = set()
    for path in ("/login?link=x", "/usage", "/nothing"):
        _, text, headers = await visitor.get(path)
        policy = headers["Content-Security-Policy"]
        nonce = re.search(r"'nonce-([^']+)'", policy)
        assert nonce is not None
        nonces.add(nonce[1])
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert all(f'nonce="{nonce[1]}"' in tag for tag in re.findall("<script[^>]*>", text) if
                   "src=" not in tag)  # fmt: skip
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert len(nonces) == 3


async def test_wrong_keys_are_limited(stack: Stack) -> None:
    """Guesses are refused, then slowed with a 429; the right key still logs in."""
    wrong = "lsk_" + "a" * 50
    status, refused, begun = 401, -1, time.monotonic()
    async with Browser(stack.url, address="127.0.0.2") as visitor:  # has guessed in no other test
        while status == 401 and refused < 200:
            status, _, _ = await visitor.post("/login", {"key": wrong})
            refused += 1
        assert status == 429
        assert 30 <= refused <= 31 + (time.monotonic() - begun) / 2  # one more every two seconds
        await visitor.log_in(stack.keys["bob"])


async def test_what_is_typed_is_no_markup(visitor: Browser) -> None:
    """What a link or a form brings along is shown as text."""
    for status, text, _ in (
        await visitor.get('/login?link="><script>1</script>&next=<b>'),
        await visitor.post("/login", {"key": "<script>1</script>", "next": '"><b>'}),
    ):
        assert status in (200, 401, 429)
        assert "<script>1" not in text
        assert "><b>" not in text


async def test_login_goes_on_to_own_pages_alone(stack: Stack, visitor: Browser) -> None:
    """After the login nobody is led to another site."""
    for target, location in (
        ("/usage?by=day", "/usage?by=day"),
        ("//evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
    ):
        _, _, headers = await visitor.post("/login", {"key": stack.keys["alice"], "next": target})
        assert headers["Location"] == location


async def test_a_page_is_bound_to_its_session(stack: Stack, visitor: Browser) -> None:
    """The socket of a user's page is refused to another user and to nobody; its own user gets it."""
    await visitor.log_in(stack.keys["alice"])
    _, text, _ = await visitor.get("/usage")
    page_id = page_id_of(text)
    async with Browser(stack.url) as other:
        for key in (None, stack.keys["bob"], stack.keys["admin"]):
            if key:
                await other.log_in(key)
            async with other.socket(page_id) as socket:
                assert (await socket.receive_str()).startswith("0{")
                assert await socket.receive_str() == SOCKET_REFUSED
    async with visitor.socket(page_id) as socket:
        await socket.receive_str()
        await socket.send_str("40")
        assert (await socket.receive_str()).startswith("40{")


async def write_lines(
    stack: Stack, socket: aiohttp.ClientWebSocketResponse, lines: list[tuple[str, str]]
) -> None:
    """Send (page, text) for the log until the last one is there: it takes some lines a second of all."""

    async def is_there() -> bool:
        for page_id, text in lines:
            await socket.send_str(
                f'42["log",{{"client_id":"{page_id}","level":"error","message":"{text}"}}]'
            )
        return lines[-1][1] in stack.dashboard.log.read_text()

    await until(is_there, lines[-1][1])


async def test_events_for_the_pages_of_others(stack: Stack, visitor: Browser) -> None:
    """A socket cannot send events for a page that it was not opened for."""
    async with Browser(stack.url) as victim:
        await victim.log_in(stack.keys["admin"])
        _, text, _ = await victim.get("/usage")
        target = page_id_of(text)
        await visitor.log_in(stack.keys["alice"])
        _, text, _ = await visitor.get("/usage")
        async with victim.socket(target) as theirs, visitor.socket(page_id_of(text)) as socket:
            for each in (theirs, socket):
                await each.receive_str()
                await each.send_str("40")
                await each.receive_str()
            # NiceGUI writes what a page logs; what comes for another's page must not be written.
            await write_lines(stack, socket, [(target, "forged event"), (page_id_of(text), "own event")])
    assert "forged event" not in stack.dashboard.log.read_text()


async def test_malformed_events(stack: Stack, visitor: Browser) -> None:
    """Events without what belongs to them change nothing, and the page's socket goes on."""
    await visitor.log_in(stack.keys["alice"])
    _, text, _ = await visitor.get("/usage")
    page_id = page_id_of(text)
    async with visitor.socket(page_id) as socket:
        await socket.receive_str()
        await socket.send_str("40")
        await socket.receive_str()
        for name in ("event", "javascript_response", "ack", "log"):
            for body in ("1", "null", "{}", f'{{"client_id":"{page_id}"}}'):
                await socket.send_str(f'42["{name}",{body}]')
        await write_lines(stack, socket, [(page_id, "still here")])


async def test_sockets_are_bounded(stack: Stack, visitor: Browser) -> None:
    """One too many of a user is refused; when one is closed there is room again."""
    await visitor.log_in(stack.new_user("lena"))
    _, text, _ = await visitor.get("/connect")
    page_id = page_id_of(text)
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(MAX_SOCKETS_PER_USER - 1):
            await opened.enter_async_context(visitor.socket(page_id))
        async with visitor.socket(page_id):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                async with visitor.socket(page_id):
                    pass

        async def is_open() -> bool:
            with contextlib.suppress(aiohttp.WSServerHandshakeError):
                await opened.enter_async_context(visitor.socket(page_id))
                return True
            return False

        await until(is_open, "room for a socket")


async def test_what_is_not_there(stack: Stack, visitor: Browser) -> None:
    """An unknown path is a 404 that names itself, with a session; without one it is the login."""
    assert (await visitor.get("/nothing"))[0] == 303
    await visitor.log_in(stack.keys["alice"])
    status, text, _ = await visitor.get("/nothing")
    assert (status, "There is no such page" in text) == (404, True)


async def test_a_closed_page_leads_nowhere_by_itself(stack: Stack, visitor: Browser) -> None:
    """Also with a session: a page too many does not open itself again."""
    await visitor.log_in(stack.keys["alice"])
    status, text, _ = await visitor.get(CLOSED)
    assert (status, "This page was closed" in text, "<meta http-equiv" in text) == (200, True, False)


async def test_a_revoked_key_ends_its_sessions(stack: Stack, visitor: Browser) -> None:
    """Within a second its pages are sent to the login and their sockets are closed. The best of several,
    so that a busy machine does not matter."""
    stack.new_user("carol")
    taken: list[float] = []
    while len(taken) < 5 and min(taken, default=9.0) >= 1:
        await visitor.log_in(stack.keys["carol"])
        _, text, _ = await visitor.get("/usage")
        async with visitor.socket(page_id_of(text)) as socket:
            await socket.receive_str()
            await socket.send_str("40")
            await socket.receive_str()
            with connect(stack.database_url, application="tests") as connection:
                issued = users.rotate_key(connection, "carol")
            revoked_at, told = time.monotonic(), False
            async for message in socket:
                told = told or '"/login?ended=1"' in str(message.data)
        taken.append(time.monotonic() - revoked_at)
        assert told
        assert (await visitor.get("/usage"))[0] == 303
        stack.keys["carol"] = issued.key
    assert min(taken) < 1, taken


async def test_logging_out(stack: Stack, visitor: Browser) -> None:
    """After logging out the cookie is worth nothing."""
    await visitor.log_in(stack.keys["alice"])
    cookie = visitor.cookie
    status, _, _ = await visitor.post("/logout", {})
    assert status == 303
    visitor.cookie = cookie
    assert (await visitor.get("/usage"))[0] == 303


async def test_requests_are_bounded(stack: Stack) -> None:
    """A head without an end is broken off before it takes memory."""
    host, _, port = stack.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with contextlib.suppress(ConnectionError):
        writer.write(b"GET / HTTP/1.1\r\n" + b"X-A: " + b"a" * 200_000)
        await writer.drain()
        assert await reader.read() == b""
    writer.close()
