"""Compiles grammars first in a process that may die of it.

A grammar of a few hundred bytes can make any compiler run for hours, fill the memory or overflow the
stack, and none can be interrupted. So each new one is compiled by a child first, within bounds of time,
memory and stack; what passes is then compiled here, in the same way.

Owns the child process (`compiler.py`) and remembers what it has said. Requests and replies are lines of
JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runtime.engine.grammar.compiler import Source, Verdict

SECONDS = 2.0
"""Processor time that one grammar may take. A choice of 20,000 strings, or 300 properties with patterns,
takes a tenth of it."""
_PATIENCE_S = 20.0
"""Elapsed time that one grammar may take: the child has a lower priority than the model's threads."""
_START_SECONDS = 60.0
_REMEMBERED = 1024
_REMEMBERED_CHARACTERS = 16_384
"""Of a longer grammar a hash is remembered; one that is yet to be converted is compiled each time."""
_CHECKOUT = Path(__file__).resolve().parents[3]


class SandboxError(Exception):
    """The child does not do its work: it could not be started."""


class Sandbox:
    """Says whether a grammar can be compiled. Thread-safe; one grammar is compiled at a time.

    Args:
        tokens: the vocabulary's pieces.
        ends: the tokens that end a response.
    """

    def __init__(self, tokens: Sequence[bytes], ends: Sequence[int]) -> None:
        encoded = [base64.b64encode(token).decode() for token in tokens]
        self._vocabulary = (json.dumps({"tokens": encoded, "ends": list(ends)}) + "\n").encode()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._memory = threading.Lock()
        self._verdicts: OrderedDict[Source, Verdict] = OrderedDict()

    def check(self, source: Source, seconds: float = SECONDS) -> Verdict:
        """Whether the grammar can be compiled, within some processor time.

        Raises:
            SandboxError: that cannot be told just now.
        """
        known = self.known(source)
        if known is not None:
            return known
        with self._lock:
            # Another may have asked the same meanwhile.
            known = self.known(source)
            return known if known is not None else self._ask(source, seconds)

    def known(self, source: Source) -> Verdict | None:
        """The same for a grammar that has been compiled before, at once; None for another."""
        key = _key(source)
        with self._memory:
            verdict = self._verdicts.get(key)
            if verdict is None:
                return None
            self._verdicts.move_to_end(key)
        return verdict if key is source or verdict.error else Verdict(grammar=source.text)

    def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with child:  # closes its pipes and waits
                pass

    def _ask(self, source: Source, seconds: float) -> Verdict:
        child = self._started()
        line = (json.dumps([source.text, source.is_converted, seconds]) + "\n").encode()
        try:
            verdict = Verdict(**json.loads(_exchange(child, line, _PATIENCE_S)))
        except (OSError, EOFError, TimeoutError) as error:
            # Not remembered: on a machine without memory to spare it need not be the grammar's fault.
            self.close()
            return Verdict(error=_cause_of_death(child, error, seconds), seconds=seconds)
        except BaseException:
            self.close()
            raise
        self._remember(source, verdict)
        return verdict

    def _remember(self, source: Source, verdict: Verdict) -> None:
        key = _key(source)
        verdict = replace(verdict, seconds=0.0)  # the next time
        if key is not source:
            verdict = Verdict(error=verdict.error)
        elif len(source.text) + len(verdict.grammar) > _REMEMBERED_CHARACTERS * 2:
            return
        with self._memory:
            self._verdicts[key] = verdict
            if len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)

    def _started(self) -> subprocess.Popen[bytes]:
        """The child, ready to compile; a new one if there is none."""
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is not None:
            return self._child
        try:
            child = self._child = subprocess.Popen(
                [sys.executable, "-m", "runtime.engine.grammar.compiler"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=_CHECKOUT,
            )
            _exchange(child, self._vocabulary, _START_SECONDS)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise SandboxError(
                f"the process that compiles grammars does not start: {error!r}"
            ) from error
        except BaseException:
            self.close()
            raise
        return child


def _key(source: Source) -> Source:
    """What stands for a grammar in the memory: a hash, if it is long and its own converted form."""
    if not source.is_converted or len(source.text) <= _REMEMBERED_CHARACTERS:
        return source
    digest = hashlib.blake2b(source.text.encode(), digest_size=32).hexdigest()
    return Source(text=digest, is_converted=True)


def _cause_of_death(child: subprocess.Popen[bytes], error: Exception, seconds: float) -> str:
    if isinstance(error, TimeoutError) or child.returncode == -signal.SIGPROF:
        return f"it is too complex: compiling it takes more than {seconds:.2g} seconds"
    return "it is too complex: compiling it takes too much memory or too deep a recursion"


def _exchange(child: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes:
    """Send a line and wait for one.

    Raises:
        TimeoutError: none has come in time.
        OSError, EOFError: the child has died.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    deadline = time.monotonic() + seconds
    # A child that hangs reads nothing, and a long line would wait for it for ever.
    os.set_blocking(child.stdin.fileno(), False)
    reply = b""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        while not reply.endswith(b"\n"):
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is child.stdin:
                    line = line[child.stdin.write(line) or 0 :]
                    if not line:
                        selector.unregister(child.stdin)
                else:
                    part = os.read(child.stdout.fileno(), 65_536)
                    if not part:
                        child.wait(_START_SECONDS)
                        raise EOFError
                    reply += part
    return reply
