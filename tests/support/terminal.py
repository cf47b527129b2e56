"""A program on a pseudo-terminal: tests type, interrupt it and read what it shows."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.wait import wait_until

INTERRUPT, END = "\x03", "\x04"
"""Ctrl-C and Ctrl-D."""


class Terminal:
    """A context: runs the program within it and kills it at the end if it still runs."""

    def __init__(self, command: Sequence[str | Path], *, env: Mapping[str, str]) -> None:
        self._command, self._env = command, env
        self.text = ""
        """Everything on the terminal so far, typed text included."""

    def __enter__(self) -> Self:
        self._end, other = pty.openpty()
        # A new session whose terminal this is: else Ctrl-C is a character like any other.
        self._process = subprocess.Popen(
            [*self._command],
            env={**self._env, "TERM": "dumb"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - it takes no lock
        )
        os.close(other)
        return self

    def press(self, text: str) -> None:
        """Type this text."""
        os.write(self._end, text.encode())

    def until_more(self, after: int) -> None:
        """Wait until anything is shown behind that place."""
        wait_until(lambda: len(self._read()) > after, "more text on the terminal")

    def until(self, shown: str, *, after: int = 0) -> int:
        """Wait until `text` contains this after an index; return the index behind it."""
        wait_until(lambda: shown in self._read()[after:], f"{shown!r} on the terminal")
        return self.text.index(shown, after) + len(shown)

    def until_one_of(self, *shown: str, after: int) -> str:
        """Wait until one of these is shown behind that place; return which."""
        return wait_until(
            lambda: next((one for one in shown if one in self._read()[after:]), None),
            f"one of {shown} on the terminal",
        )

    def _read(self) -> str:
        """Read what is there and return everything shown so far."""
        while select.select([self._end], [], [], 0)[0]:
            try:
                self.text += os.read(self._end, 65536).decode("utf-8", "replace").replace("\r", "")
            except OSError:  # Linux's word for its end
                break
        return self.text

    def wait(self) -> int:
        """Its exit status."""
        # Keep reading: a program that writes more than the terminal buffers waits for a reader.
        wait_until(
            lambda: [self._read()] and self._process.poll() is not None,
            "the program to end",
        )
        return self._process.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        with suppress(OSError):
            os.close(self._end)


def _take_terminal() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a run of tests in the background ignores it
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def ask_on_terminal(
    command: Sequence[str], typed: bytes, *, cwd: Path, env: Mapping[str, str]
) -> tuple[int, str]:
    """Run a program that asks on a terminal and prints its result to a pipe: exit status and result."""
    terminal, program_end = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=program_end,
        stdout=subprocess.PIPE,
        stderr=program_end,
        text=True,
    ) as process:
        os.close(program_end)
        os.write(terminal, typed)
        output, _ = process.communicate(timeout=30)
        os.close(terminal)
    return process.returncode, output
