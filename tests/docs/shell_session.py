"""A shell on a pseudo-terminal, typed to like a user would, with the time of every piece of output."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

KEYSTROKE_S = 0.03
ECHO_S = 30.0
"""How long a key may take to be shown, on a busy machine."""
PROMPT = "$ "


@dataclass(frozen=True)
class Piece:
    """Text that the terminal showed at one moment."""

    at_s: float
    """Seconds since the start of the session."""
    text: str
    typed: bool
    """Whether it is the echo of what the user typed."""


class ShellSession:
    """A context that owns an interactive bash. `pieces` holds what its terminal has shown.

    Args:
        directory: where the shell starts.
        env: the shell's environment.
        columns: the width of the terminal in characters.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        directory: Path,
        *,
        env: Mapping[str, str],
        columns: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._env = {**env, "TERM": "dumb", "PS1": PROMPT, "PS2": "> ", "HISTFILE": ""}
        self._columns = columns
        self._clock = clock
        self.pieces: list[Piece] = []

    def __enter__(self) -> Self:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, a login shell does not
            os.chdir(self._directory)
            shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"]
            os.execvpe("bash", shell, self._env)  # noqa: S606 - this is the shell
        size = struct.pack("HHHH", 50, self._columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)
        self._started = self._clock()
        self.wait_for(PROMPT)
        return self

    def type_text(self, text: str) -> None:
        """Press the keys of `text` one after the other, without Enter.

        Raises:
            TimeoutError: the terminal does not show a key within ECHO_S.
        """
        for key in text:
            shown_before, deadline = len(self.pieces), self._clock() + ECHO_S
            os.write(self._terminal, key.encode())
            self._read(KEYSTROKE_S, typed=True)
            while key not in self._text(shown_before):
                if self._clock() > deadline:
                    raise TimeoutError(f"{key!r} is not shown")
                self._read(KEYSTROKE_S, typed=True)

    def press(self, key: str, *, then: str = PROMPT, timeout_s: float = 120) -> None:
        """Press one key, such as Enter, and wait until `then` is the end of what is shown.

        Raises:
            TimeoutError: it did not come within `timeout_s`; the message has what came.
        """
        shown_before = len(self.pieces)
        os.write(self._terminal, key.encode())
        self.wait_for(then, since=shown_before, timeout_s=timeout_s)

    def wait_for(self, end: str, *, since: int = 0, timeout_s: float = 30) -> None:
        """Read until the output since piece number `since` ends with `end`."""
        deadline = self._clock() + timeout_s
        while not (text := self._text(since)).endswith("\n" + end) and text != end:
            if self._clock() > deadline:
                raise TimeoutError(f"{end!r} did not come; the terminal shows: {text!r}")
            self._read(0.05, typed=False)

    def _text(self, since: int) -> str:
        return "".join(piece.text for piece in self.pieces[since:])

    def _read(self, wait_s: float, *, typed: bool) -> None:
        """Note what comes within `wait_s` seconds."""
        until = self._clock() + wait_s
        while (left := until - self._clock()) > 0:
            if select.select([self._terminal], [], [], left)[0]:
                text = os.read(self._terminal, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
                self.pieces.append(Piece(self._clock() - self._started, text, typed))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.kill(self._pid, signal.SIGHUP)
        os.close(self._terminal)
        os.waitpid(self._pid, 0)
