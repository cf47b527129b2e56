"""Sessions: who is logged in, held in memory alone. A restart of the dashboard ends them.

The browser holds a random token in a cookie; here is its hash. A session ends when its key may no longer
be used, when its user becomes or ceases to be an administrator, after LIFE_S, or by logging out.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from proxy.identity.principal import Principal, access_error

MAX_SESSIONS = 500
MAX_SESSIONS_PER_USER = 20
"""The oldest of a user is ended by one more."""
MAX_PAGES_PER_USER = 30
"""Open pages: the same. One takes 1.5 MB."""
MAX_PAGES = 300
MAX_SOCKETS_PER_USER = 60
"""Each page has one; that of a connection that has broken stays for some seconds."""
LIFE_S = 12 * 3600.0
SWEEP_S = 0.5


class SessionsFull(Exception):
    """There are MAX_SESSIONS, or MAX_PAGES, of other users; or MAX_SOCKETS_PER_USER of this one."""


@dataclass(eq=False, kw_only=True)
class Session:
    """One login. `ended` is set at its end."""

    token_hash: bytes = field(repr=False)
    principal: Principal
    key: str = field(repr=False)
    """The key that logged in: requests on the user's behalf are sent with it. It is never stored."""
    ends_at: float
    """Monotonic seconds."""
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    pages: OrderedDict[str, Callable[[], None]] = field(default_factory=OrderedDict, repr=False)
    """Its open pages by their ids, with a function that closes the page."""
    sockets: Counter[str] = field(default_factory=Counter, repr=False)
    """How many connections its pages have, by their ids."""

    @property
    def is_admin(self) -> bool:
        return self.principal.is_admin

    @property
    def username(self) -> str:
        return self.principal.username


class Sessions:
    """All sessions, oldest first. `run` must be running as a task."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives monotonic seconds, `wall` Unix time."""
        self._clock = clock
        self._wall = wall
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, principal: Principal, key: str) -> str:
        """Begin a session; returns the token for the browser.

        Raises:
            SessionsFull: no session can be ended for it.
        """
        own = self._of(principal.user_id)
        if len(own) >= MAX_SESSIONS_PER_USER:
            self.end(own[0])
        elif len(self._sessions) >= MAX_SESSIONS:
            raise SessionsFull
        token = secrets.token_urlsafe(32)
        session = Session(
            token_hash=_hash(token), principal=principal, key=key, ends_at=self._clock() + LIFE_S
        )
        self._sessions[session.token_hash] = session
        return token

    def find(self, token: str) -> Session | None:
        """The session of a token; None: there is none, or it has just ended."""
        session = self._sessions.get(_hash(token))
        if session is not None and self._is_over(session):
            self.end(session)
            return None
        return session

    def take_over(self, session: Session, principal: Principal, key: str) -> None:
        """Let a session go on with another key of its user, unless it has ended."""
        assert principal.user_id == session.principal.user_id
        if not session.ended.is_set():
            session.principal, session.key = principal, key

    def open_page(self, session: Session, page_id: str, close: Callable[[], None]) -> None:
        """Note an open page. `close` is called when the session ends, or for a page too many.

        Raises:
            SessionsFull: no page can be closed for it.
        """
        own = [(one, name) for one in self._of(session.principal.user_id) for name in one.pages]
        is_too_many = len(own) >= MAX_PAGES_PER_USER
        if is_too_many or sum(len(one.pages) for one in self._sessions.values()) >= MAX_PAGES:
            # Those that their browser has left, as far as one can tell, make room first.
            closable = [(one, name) for one, name in own if not one.sockets[name]]
            closable += own if is_too_many else []
            if not closable:
                raise SessionsFull
            oldest, name = closable[0]
            oldest.pages.pop(name)()
        session.pages[page_id] = close

    @contextmanager
    def open_socket(self, session: Session, page_id: str) -> Iterator[None]:
        """Count a socket of a page, for as long as the context lasts.

        Raises:
            SessionsFull: the user has too many.
        """
        own = self._of(session.principal.user_id)
        if sum(one.sockets.total() for one in own) >= MAX_SOCKETS_PER_USER:
            raise SessionsFull
        session.sockets[page_id] += 1
        try:
            yield
        finally:
            session.sockets[page_id] -= 1
            session.sockets += Counter()  # drops zeros

    def user_of(self, page_id: str) -> int | None:
        """The id of the user whose page it is; None if it is not open any more."""
        found = (s.principal.user_id for s in self._sessions.values() if page_id in s.pages)
        return next(found, None)

    def end(self, session: Session) -> None:
        """End a session and close its pages."""
        self._sessions.pop(session.token_hash, None)
        session.ended.set()
        session.key = ""
        while session.pages:
            _, close = session.pages.popitem()
            close()

    def end_all_of(self, public_id: str, *, but: Session | None = None) -> None:
        """End all sessions of a key."""
        for session in list(self._sessions.values()):
            if session.principal.public_id == public_id and session is not but:
                self.end(session)

    def uses(self, public_id: str) -> bool:
        """Whether there are sessions of this key."""
        return any(s.principal.public_id == public_id for s in self._sessions.values())

    def note_changes(self, principals: Iterable[Principal]) -> None:
        """Take over what has changed of users and keys; end the sessions that may not go on."""
        changed = {principal.public_id: principal for principal in principals}
        for session in list(self._sessions.values()):
            new = changed.get(session.principal.public_id)
            if new is None:
                continue
            other_role = new.is_admin != session.principal.is_admin
            session.principal = new
            if other_role or self._is_over(session):
                self.end(session)

    async def run(self) -> None:
        """End sessions whose time is over, until cancelled."""
        while True:
            for session in list(self._sessions.values()):
                if self._is_over(session):
                    self.end(session)
            await asyncio.sleep(SWEEP_S)

    def _of(self, user_id: int) -> list[Session]:
        return [one for one in self._sessions.values() if one.principal.user_id == user_id]

    def _is_over(self, session: Session) -> bool:
        error = access_error(session.principal, now=self._wall(), masked="")
        return error is not None or self._clock() >= session.ends_at


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
