"""Compiles grammars first in a process that may die of it.

A grammar of a few hundred bytes can make any compiler run for hours, fill the memory or overflow the
stack, and none can be interrupted. So each new one is compiled by a child first, within bounds of time,
memory and stack; what passes is then compiled here, in the same way.

Owns the child: `python -m runtime.engine.sandbox` is it. It imports llguidance and nothing of the model;
requests and replies are lines of JSON.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper

logger = logging.getLogger(__name__)

SECONDS = 2.0
"""For one grammar. Of 20,000 words to choose from, or 300 properties with patterns, it takes a tenth."""
_START_SECONDS = 60.0
_MEMORY_BYTES = 2 * 2**30
_STACK_BYTES = 8 * 2**20
"""Half of what the threads have that compile in the server: settings.THREAD_STACK_BYTES."""
_REMEMBERED = 1024
_CHECKOUT = Path(__file__).resolve().parents[2]


def limits() -> LLParserLimits:
    """What a grammar may take of llguidance, when compiled and with each token."""
    return LLParserLimits(max_lexer_states=50_000, verbose_errors=False)


class Sandbox:
    """Says whether a grammar can be compiled. Thread-safe; one grammar is compiled at a time.

    Args:
        tokens: the vocabulary's pieces.
        ends: the tokens that end an answer.
    """

    def __init__(self, tokens: Sequence[bytes], ends: Sequence[int]) -> None:
        encoded = [base64.b64encode(token).decode() for token in tokens]
        self._vocabulary = (json.dumps({"tokens": encoded, "ends": list(ends)}) + "\n").encode()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._memory = threading.Lock()
        self._verdicts: OrderedDict[bytes, str] = OrderedDict()

    def check(self, grammar: str) -> str:
        """Empty if the grammar can be compiled, else why not."""
        known = self.known(grammar)
        if known is not None:
            return known
        with self._lock:
            known = self.known(grammar)  # another may have asked the same meanwhile
            if known is None:
                known = self._ask(grammar)
                self._remember(grammar, known)
        return known

    def known(self, grammar: str) -> str | None:
        """The same for a grammar that has been checked before, at once; None for another."""
        with self._memory:
            verdict = self._verdicts.get(_digest(grammar))
            if verdict is not None:
                self._verdicts.move_to_end(_digest(grammar))
            return verdict

    def _remember(self, grammar: str, verdict: str) -> None:
        with self._memory:
            self._verdicts[_digest(grammar)] = verdict
            if len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with child:  # closes its pipes and waits
                pass

    def _ask(self, grammar: str) -> str:
        try:
            child = self._started()
            reply = _exchange(child, (json.dumps(grammar) + "\n").encode(), SECONDS)
        except TimeoutError:
            self.close()
            return f"it is too complex: compiling it takes more than {SECONDS:g} seconds"
        except (OSError, EOFError):
            self.close()
            return "it is too complex: compiling it takes too much memory or too deep a recursion"
        return str(json.loads(reply))

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "runtime.engine.sandbox"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                cwd=_CHECKOUT,
            )
            _exchange(self._child, self._vocabulary, _START_SECONDS)
        return self._child


def _digest(grammar: str) -> bytes:
    return hashlib.sha256(grammar.encode()).digest()


def _exchange(child: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes:
    """Send a line and wait for one.

    Raises:
        TimeoutError: none has come in time.
        OSError, EOFError: the child has died.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    # Non-blocking: a child that hangs reads nothing, and a long line would wait for it.
    deadline = time.monotonic() + seconds
    output = child.stdout.fileno()
    os.set_blocking(child.stdin.fileno(), False)
    reply = b""
    while not reply.endswith(b"\n"):
        left = deadline - time.monotonic()
        writable = [child.stdin] if line else []
        ready = select.select([output], writable, [], max(left, 0))
        if left <= 0 or not (ready[0] or ready[1]):
            raise TimeoutError
        if ready[1]:
            line = line[child.stdin.write(line) or 0 :]
        if ready[0]:
            part = os.read(output, 65_536)
            if not part:
                raise EOFError
            reply += part
    return reply


class _Words:
    """A vocabulary as llguidance's TokenizerWrapper wants it."""

    def __init__(self, tokens: list[bytes], ends: list[int]) -> None:
        self.tokens = tokens
        self.eos_token_id = ends[0] if ends else 0
        self.bos_token_id = None

        self._bytes = {token: number for number, token in enumerate(tokens) if len(token) == 1}

    def __call__(self, text: bytes) -> list[int]:
        """Byte by byte, which is a tokenization too: this one is for forced texts only."""
        return [self._bytes[bytes([byte])] for byte in text if bytes([byte]) in self._bytes]


def _tokenizer(vocabulary: dict[str, Any]) -> LLTokenizer:
    tokens = [base64.b64decode(token) for token in vocabulary["tokens"]]
    ends = vocabulary["ends"]
    return LLTokenizer(TokenizerWrapper(_Words(tokens, ends)), eos_token=ends or None)


def _compiled(tokenizer: LLTokenizer, grammar: str) -> str:
    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=limits())
    if not matcher.is_error():
        # Some limits show with the first mask only.
        matcher.compute_bitmask()
    return matcher.get_error() if matcher.is_error() else ""


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    tokenizer = _tokenizer(json.loads(requests.readline()))
    replies.write(b"\n")
    for line in requests:
        replies.write((json.dumps(_compiled(tokenizer, json.loads(line))) + "\n").encode())


def main() -> None:
    """Be the child: compile what comes in until there is no more."""
    with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(_STACK_BYTES)
    streams = (sys.stdin.buffer, os.fdopen(sys.stdout.fileno(), "wb", buffering=0))
    thread = threading.Thread(target=_serve, args=streams, daemon=True)
    thread.start()
    parent = os.getppid()
    # A compilation that goes on and on would outlive the server.
    while thread.is_alive() and os.getppid() == parent:
        thread.join(1.0)
    os._exit(0)


if __name__ == "__main__":
    main()
