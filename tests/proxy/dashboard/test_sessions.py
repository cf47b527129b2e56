"""Sessions are bounded in number and time, and end with what their keys may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest
from nicegui import Client

from proxy.dashboard.access import sessions as module
from proxy.dashboard.access.sessions import LIFE_S, Session, Sessions, SessionsFull
from proxy.dashboard.layout.frame import CLOSED, bind_page
from proxy.identity.principal import NOBODY, Principal

ALICE = replace(NOBODY, public_id="a", user_id=1, username="alice", is_active=True, revoked=False)
BOB = replace(ALICE, public_id="b", user_id=2, username="bob")


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(clock=clock, wall=clock)


def test_a_token_finds_its_session(sessions: Sessions) -> None:
    """A token finds its own session, another text none; the end takes key and pages away."""
    token = sessions.begin(ALICE, "secret")
    session = sessions.find(token)
    assert session is not None
    assert session.key == "secret"
    assert "secret" not in repr(session)
    assert sessions.find(token + "x") is None
    closed: list[str] = []
    sessions.open_page(session, "p", lambda: closed.append("p"))
    sessions.end(session)
    assert (sessions.find(token), session.key, closed) == (None, "", ["p"])


def test_a_session_ends_after_its_time(sessions: Sessions, clock: Clock) -> None:
    """However much it is used, a session ends after LIFE_S."""
    token = sessions.begin(ALICE, "k")
    clock.now += LIFE_S - 1
    assert sessions.find(token)
    clock.now += 1
    assert sessions.find(token) is None
    assert len(sessions) == 0


@pytest.mark.parametrize(
    "change", [{"revoked": True}, {"is_active": False}, {"expires_at": 1.0}, {"is_admin": True}]
)
def test_a_change_of_the_key_ends_it(sessions: Sessions, change: dict[str, object]) -> None:
    """What a key may do is decided anew when it changes, for its own sessions alone."""
    token = sessions.begin(ALICE, "k")
    other = sessions.begin(replace(ALICE, public_id="b"), "k2")
    sessions.note_changes([replace(ALICE, rate_limit=5)])
    assert sessions.find(token)
    sessions.note_changes([replace(ALICE, **change)])  # type: ignore[arg-type]
    assert sessions.find(token) is None
    assert sessions.find(other)


def test_sessions_are_bounded(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's oldest session makes room for a new one; nobody ends those of others."""
    monkeypatch.setattr(module, "MAX_SESSIONS_PER_USER", 2)
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    first, second, third = (sessions.begin(ALICE, "k") for _ in range(3))
    assert sessions.find(first) is None
    assert sessions.find(second)
    assert sessions.find(third)
    sessions.begin(bob(2), "k")
    with pytest.raises(SessionsFull):
        sessions.begin(bob(3), "k")
    sessions.begin(ALICE, "k")
    assert sessions.find(second) is None


def test_open_pages_are_bounded(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's oldest page, of whichever session, makes room, one without a connection first; nobody
    closes those of others."""
    monkeypatch.setattr(module, "MAX_PAGES_PER_USER", 2)
    monkeypatch.setattr(module, "MAX_PAGES", 3)
    first, second, other = (sessions.find(sessions.begin(who, "k")) for who in (ALICE, ALICE, bob(2)))
    assert first
    assert second
    assert other
    closed: list[str] = []

    def open_page(session: Session, name: str) -> None:
        sessions.open_page(session, name, lambda: closed.append(name))

    for session, name in ((first, "a"), (second, "b"), (second, "c"), (other, "d")):
        open_page(session, name)
    assert closed == ["a"]
    assert (list(first.pages), list(second.pages)) == ([], ["b", "c"])
    with sessions.open_socket(second, "b"), sessions.open_socket(other, "d"):
        open_page(second, "e")
        assert closed == ["a", "c"]
        with sessions.open_socket(second, "e"):
            open_page(second, "f")
        assert closed == ["a", "c", "b"]
        with pytest.raises(SessionsFull):
            open_page(other, "g")
    open_page(other, "g")
    assert closed == ["a", "c", "b", "d"]


class OpenClient:
    """Stands in for NiceGUI's client of a page, and notes where the page is sent."""

    is_deleted = False

    def __init__(self, id: str) -> None:
        self.id = id
        self.sent_to: list[str] = []
        self.open = self.sent_to.append

    def on_delete(self, handler: Callable[[], object]) -> None:
        """It is not deleted here."""

    def delete(self) -> None:
        """It stays."""


async def test_where_a_page_goes_that_is_closed(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the login only with its session: that leads who has one to a new page, which would close the
    next."""
    monkeypatch.setattr(module, "MAX_PAGES_PER_USER", 1)
    session = begun(sessions, ALICE)
    older, newer = OpenClient("a"), OpenClient("b")
    for client in (older, newer):
        bind_page(sessions, session, cast("Client", client))
    assert (older.sent_to, newer.sent_to) == ([CLOSED], [])
    sessions.end(session)
    assert (older.sent_to, newer.sent_to) == ([CLOSED], ["/login?ended=1"])


def bob(user_id: int) -> Principal:
    return replace(ALICE, user_id=user_id, public_id=f"b{user_id}")


def begun(sessions: Sessions, principal: Principal) -> Session:
    """A new session."""
    session = sessions.find(sessions.begin(principal, ""))
    assert session is not None
    return session


def test_sockets_of_a_user_are_bounded(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all sessions; one that is closed makes room, and another user is not concerned."""
    monkeypatch.setattr(module, "MAX_SOCKETS_PER_USER", 2)
    first, second, other = [begun(sessions, principal) for principal in (ALICE, ALICE, BOB)]
    with sessions.open_socket(first, "a"):
        with (
            sessions.open_socket(second, "b"),
            pytest.raises(SessionsFull),
            sessions.open_socket(first, "a"),
        ):
            pass
        with sessions.open_socket(first, "a"), sessions.open_socket(other, "c"):
            assert first.sockets == {"a": 2}
    assert not first.sockets
