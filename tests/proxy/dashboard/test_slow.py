"""Pages in a real browser while the database, the server or the network is slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from proxy.dashboard.pages.invitation import ACTOR
from proxy.database.pool import connect
from proxy.identity import invitations
from tests.proxy.dashboard.conftest import OpenPage
from tests.support.chromium import visit
from tests.support.dashboard import Stack
from tests.support.wait import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


ENGINE_IO_PING = "2"
_WAITING = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'llamaserve-dashboard/' || %s AND wait_event_type = 'Lock'"
)


@contextmanager
def locked(stack: Stack, table: str) -> Iterator[None]:
    """Whoever reads the table waits for as long as the context lasts."""
    with (
        connect(stack.database_url, application="tests") as connection,
        connection.transaction(),
    ):
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


async def questions(stack: Stack, actor: str, number: int) -> None:
    """Wait until so many questions of a user's pages wait for a lock."""

    def are_so_many() -> bool:
        with connect(stack.database_url, application="tests") as connection:
            found = connection.execute(f"SELECT count(*) {_WAITING}", [actor]).fetchone()
        return found is not None and found[0] >= number

    await until(are_so_many, f"{number} questions to wait")


def end_questions(stack: Stack, actor: str) -> None:
    """Let those that wait fail."""
    with connect(stack.database_url, application="tests") as connection:
        connection.execute(f"SELECT pg_terminate_backend(pid) {_WAITING}", [actor])


def add_records(stack: Stack, username: str, number: int) -> None:
    """So many records of the last hours, a second apart."""
    with connect(stack.database_url, application="tests") as connection:
        connection.execute(
            "INSERT INTO llama_requests (id, created_at, username, user_id, method, path, admitted,"
            " status_code, latency_ms) SELECT gen_random_uuid(), now() - n * interval '1 s', %s, 0,"
            " 'GET', '/number/' || n, true, 200, 5 FROM generate_series(1, %s) n",
            [username, number],
        )


class Lossy:
    """Loses what a server sends to its page, while both take the connection for alive."""

    def __init__(self) -> None:
        self.loses, self.lost = False, 0
        self.last: WebSocketRoute

    def connect(self, socket: WebSocketRoute) -> None:
        """Pass on what is not lost."""
        self.last = socket

        def pass_on(message: str | bytes) -> None:
            if self.loses and message != ENGINE_IO_PING:
                self.lost += 1
            else:
                socket.send(message)

        socket.connect_to_server().on_message(pass_on)


async def choose(page: Page, select: int, option: str) -> None:
    """Choose an option of one of the page's selects."""
    await page.locator(".filters .q-select").nth(select).click()
    await page.get_by_role("option", name=option).click()


async def test_a_form_is_sent_once(stack: Stack, logged_in: OpenPage) -> None:
    """An impatient second click on an invitation does not lose the key that the first one makes."""
    with connect(stack.database_url, application="tests") as connection:
        invitation = invitations.invite(connection, username="kora")
    page = await logged_in("", f"/invitation/{invitation.code}")
    box = await page.get_by_role("button", name="Make my key").bounding_box()
    assert box is not None
    with locked(stack, "llama_invitations"):
        await page.mouse.click(box["x"] + 5, box["y"] + 5)
        await questions(stack, ACTOR, 1)
        await page.mouse.click(box["x"] + 5, box["y"] + 5)
        await asyncio.sleep(0.5)  # for the question that must not come
    await expect(page.locator("#key")).to_contain_text("lsk_")


async def test_records_that_are_read_slowly(stack: Stack, logged_in: OpenPage) -> None:
    """Until the first reading has gone well the table does not say that there is nothing. A second click
    shows no record twice; what has been cut off is told, and never taken for new."""
    stack.new_user("mona")
    add_records(stack, "mona", 2_100)
    page = await logged_in("mona", "/connect")
    rows = page.locator("tbody tr")
    with locked(stack, "llama_requests"):
        await visit(page, stack.url + "/requests")
        await questions(stack, "mona", 1)
        end_questions(stack, "mona")
        await expect(page.get_by_text("The database is out of reach")).to_be_visible()
        await expect(page.get_by_text("Reading …")).to_be_visible()
        await expect(page.get_by_text("No requests in this time")).to_have_count(0)
    await expect(rows).to_have_count(50)
    older = page.get_by_role("button", name="Older ones")
    with locked(stack, "llama_requests"):
        await older.dispatch_event("click")
        await older.dispatch_event("click")
        await questions(stack, "mona", 2)
    await expect(rows).to_have_count(100)
    for shown in range(150, 501, 50):
        await older.click()
        await expect(rows).to_have_count(shown)
    paths = await page.locator("tbody td:nth-child(2)").all_inner_texts()
    assert paths == [f"/number/{n}" for n in range(1, 501)]
    await expect(page.get_by_text("500 are shown.")).to_be_visible()
    await expect(older).to_be_hidden()
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name="CSV").click()
    await expect(page.get_by_text("The file has the newest 2,000 requests.")).to_be_visible()
    assert len((await (await waiting.value).path()).read_text().splitlines()) == 2_001
    await page.wait_for_timeout(3_500)  # for the news that must not come
    await expect(page.locator(".new")).to_be_hidden()


async def test_a_late_answer_does_not_replace_a_newer_one(stack: Stack, logged_in: OpenPage) -> None:
    """Sums by group that come when sums by user have been chosen again are not shown; the file has what
    is shown."""
    add_records(stack, "nora", 3)
    page = await logged_in("admin", "/usage?by=user")
    sums = page.locator(".table", has_text="Completion tokens").locator("tbody")
    await expect(sums).to_contain_text("nora")
    with locked(stack, "llama_groups"):
        await choose(page, 1, "by group")
        await questions(stack, "admin", 1)
        async with page.expect_download() as waiting:
            await page.get_by_role("button", name="CSV").click()
        file = await waiting.value
        assert file.suggested_filename == "usage-by-user.csv"
        assert "nora" in (await file.path()).read_text()
        add_records(stack, "olga", 3)
        await choose(page, 1, "by user")
        await expect(sums).to_contain_text("olga")
    await page.wait_for_timeout(1_000)  # for the answer that must not be shown
    await expect(sums).to_contain_text("olga")
    await expect(sums).not_to_contain_text("no group")


async def test_a_stall_takes_nothing_away(stack: Stack, logged_in: OpenPage) -> None:
    """A page that hears nothing for some seconds, and then has no connection for some more, goes on with
    the conversation that it had and what has been typed."""
    page, network = await logged_in("bob", "/connect"), Lossy()
    await page.route_web_socket("**/socket.io/**", network.connect)
    await visit(page, stack.url + "/chat")
    await page.evaluate("window.isTheSame = true")
    await page.get_by_text("Parameters").click()
    await page.get_by_label("Most tokens").fill("2000")
    await page.get_by_label("Message").fill("go on")
    await page.keyboard.press("Enter")
    await expect(page.locator(".message.assistant .piece").first).to_be_visible()
    await page.get_by_label("Message").fill("And now")
    network.loses = True
    await until(lambda: network.lost > 55, "messages to be lost")
    await page.evaluate("""() => {
      const manager = window.socket.io;
      manager.reconnectionDelayMax(6500);
      manager.reconnectionDelay(6500);
      manager.randomizationFactor(0);
    }""")
    network.loses = False
    await network.last.close()
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await expect(page.get_by_text("Connection lost")).to_be_hidden()
    assert await page.evaluate("window.isTheSame")
    await expect(page.get_by_label("Message")).to_have_value("And now")
    await page.get_by_role("button", name="Stop").click()
    await expect(page.locator(".message.assistant .note")).to_have_text("Stopped.")
