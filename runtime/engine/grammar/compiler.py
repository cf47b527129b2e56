"""The process that compiles grammars for `sandbox.py`: `python -m runtime.engine.grammar.compiler`.

It imports llguidance and nothing of the model. Its first line has the vocabulary, each further one a
grammar and the processor time that it may take.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import resource
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer, TokenizerWrapper
from llguidance.gbnf_to_lark import any_to_lark

_NICE = 5
_MEMORY_BYTES = 2**30
_STACK_BYTES = 8 * 2**20
"""Half of what the threads have that compile in the server: settings.THREAD_STACK_BYTES."""
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|.)", re.DOTALL)


def limits() -> LLParserLimits:
    """What a grammar may take of llguidance, when compiled and with each token."""
    return LLParserLimits(max_lexer_states=50_000, verbose_errors=False)


@dataclass(frozen=True, kw_only=True)
class Source:
    """A grammar as a request has it: in llguidance's own form, or GBNF (or Lark) that is yet to be
    converted to it.
    """

    text: str
    is_converted: bool


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a grammar: why it cannot be compiled, or else its converted form."""

    error: str = ""
    grammar: str = ""
    seconds: float = field(default=0.0, compare=False)
    """Processor time that it took; what it was allowed, if that was not enough."""


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


def _spelled_out(escape: re.Match[str]) -> str:
    """A character for its \\u or \\U escape, whose leading zeros the converter loses (1.9.1)."""
    code = escape[1] or escape[2]
    if code is None or 0xD800 <= int(code, 16) < 0xE000 or int(code, 16) > sys.maxunicode:
        return escape[0]
    number = int(code, 16)
    return f"\\x{number:02x}" if number < 0x80 else chr(number)


def _verdict(tokenizer: LLTokenizer, text: str, *, is_converted: bool) -> Verdict:
    if not is_converted:
        try:
            text = LLMatcher.grammar_from_lark(any_to_lark(_ESCAPE.sub(_spelled_out, text)))
        except Exception as error:  # the converter raises Exception itself
            return Verdict(error=str(error))
    matcher = LLMatcher(tokenizer, text, log_level=0, limits=limits())
    if not matcher.is_error():
        # Some limits show with the first mask only.
        matcher.compute_bitmask()
    if matcher.is_error():
        return Verdict(error=matcher.get_error())
    return Verdict(grammar=text)


def _serve(requests: IO[bytes], replies: IO[bytes]) -> None:
    tokenizer = _tokenizer(json.loads(requests.readline()))
    replies.write(b"\n")
    for line in requests:
        text, is_converted, seconds = json.loads(line)
        begun = time.process_time()
        # The timer's signal ends the process, whatever it is in the midst of.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        verdict = _verdict(tokenizer, text, is_converted=is_converted)
        signal.setitimer(signal.ITIMER_PROF, 0)
        reply = asdict(verdict) | {"seconds": time.process_time() - begun}
        replies.write((json.dumps(reply) + "\n").encode())


def main() -> None:
    """Be the child: compile what comes in until there is no more."""
    with contextlib.suppress(ValueError, OSError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICE)
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
