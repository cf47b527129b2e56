"""Reading tokens and the model's name out of answers that pass by."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.usage_scanner import UsageScanner
from tests.support.upstream import CHAT, events


def scan(body: bytes, size: int = 7) -> UsageScanner:
    scanner = UsageScanner()
    for start in range(0, len(body), size):
        scanner.feed(body[start : start + size])
    return scanner


def test_a_completion_tells_its_model_and_tokens() -> None:
    """From the bytes of a plain answer, however they were cut."""
    scanner = scan(json.dumps(CHAT).encode())
    assert scanner.model() == "fake.gguf"
    assert scanner.usage() == (7, 3)


def test_a_stream_without_usage_tells_none() -> None:
    """llama_cpp.server's own streams carry no usage."""
    scanner = scan(b"".join(events("a", "b")))
    assert scanner.model() == "fake.gguf"
    assert scanner.usage() == (None, None)


def test_a_stream_s_usage_comes_from_its_last_chunk_or_a_comment() -> None:
    """OpenAI's extra chunk with `include_usage`, or the engine's comment before [DONE]."""
    chunk = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6,"x":{"y":1}}}\n\n'
    assert scan(b"".join(events("a")[:-1]) + chunk + events()[-1]).usage() == (5, 6)
    comment = b': usage {"prompt_tokens": 8, "completion_tokens": 9}\n\n'
    assert scan(b"".join(events("a")[:-1]) + comment + events()[-1]).usage() == (8, 9)


@given(st.text(max_size=300))
def test_what_a_model_says_is_never_taken_for_usage(said: str) -> None:
    """A model may talk of usage; only the answer's own field counts."""
    said += ' "usage": {"prompt_tokens": 1, "completion_tokens": 1} "model": "x"'
    answer = {"id": "1", "model": "m.gguf", "choices": [{"message": {"content": said}}]}
    assert scan(json.dumps(answer, ensure_ascii=False).encode()).usage() == (None, None)
    assert scan(json.dumps(answer, ensure_ascii=False).encode()).model() == "m.gguf"


@given(st.binary(max_size=6000))
def test_any_bytes_can_pass(body: bytes) -> None:
    """Nothing raises, whatever an engine sends."""
    scanner = scan(body + b'"usage": {"prompt_tokens": -1, "completion_tokens": true}', 1000)
    assert scanner.usage() == (None, None)
    scanner.model()


def test_a_stream_is_done_with_the_blank_line_after_done() -> None:
    """Wherever the network cuts it: the bytes up to there count as the answer's."""
    for end in (b"\n\n", b"\r\n\r\n"):
        scanner = UsageScanner()
        for byte in b"data: [DONE]" + end:
            assert not scanner.done
            scanner.feed(bytes([byte]))
        assert scanner.done


EARLY = b': usage {"prompt_tokens":8,"completion_tokens":0,"cached_tokens":2}\n\n'


@given(st.integers(1, 50))
def test_a_stream_s_early_usage_is_not_its_final_one(size: int) -> None:
    """A stream that broke off used its prompt, and about a token for each event that came."""
    scanner = scan(EARLY + b"".join(events("a", "b")[:3]), size)
    assert scanner.final_usage() is None
    assert scanner.usage() == (8, 3)


@given(st.integers(1, 50))
def test_the_final_usage_wins_over_the_early_one(size: int) -> None:
    """Even where it is the same in every byte."""
    for tokens in (0, 5):
        final = EARLY.replace(b'"completion_tokens":0', b'"completion_tokens":%d' % tokens)
        scanner = scan(EARLY + b"".join(events("a")[:-1]) + final + events()[-1], size)
        assert scanner.usage() == scanner.final_usage() == (8, tokens)


ANTHROPIC_FIRST = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":'
    b'{"input_tokens":12,"output_tokens":0}}}\n\n'
)
ANTHROPIC_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","text":"abc"}\n\n'
ANTHROPIC_LAST = (
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":34}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@given(st.integers(1, 50))
def test_comments_are_no_events(size: int) -> None:
    """The number of events is the next event's number in /v1/responses, after a failure too."""
    ping = b": ping\n\n"
    scanner = scan(EARLY + ping + b"".join(events("a", "b")[:2]) + ping + ping, size)
    assert scanner.events == 2
    assert scan(b"data: {}\n\ndata: {}\r\n\r\ndata: {", size).events == 3


@given(st.integers(1, 50))
def test_events_that_bring_no_token_are_not_charged(size: int) -> None:
    """Of a stream that broke off: what begins and ends a message costs nothing."""
    begun = (
        b'event: content_block_start\ndata: {"type":"content_block_start"}\n\n'
        b'event: ping\ndata: {"type":"ping"}\n\n'
    )
    scanner = scan(EARLY + ANTHROPIC_FIRST + begun + ANTHROPIC_DELTA * 3, size)
    assert scanner.usage() == (8, 3)
    assert scanner.events == 6


@pytest.mark.parametrize("n_deltas", range(0, 90, 3))
@pytest.mark.parametrize("before", [b"", b': usage {"prompt_tokens":12,"completion_tokens":0}\n\n'])
def test_the_usage_in_anthropic_s_first_event_is_not_final(before: bytes, n_deltas: int) -> None:
    """Wherever the stream breaks off: what was generated would be free. The last event's is final."""
    begun = before + ANTHROPIC_FIRST + ANTHROPIC_DELTA * n_deltas
    assert scan(begun).final_usage() is None
    assert scan(begun + ANTHROPIC_LAST).final_usage() == (12, 34)


def test_a_comment_after_the_first_event_is_no_early_usage() -> None:
    """An engine that tells the usage at the end only: that is final."""
    scanner = scan(b"".join(events()[:-1]) + EARLY)
    assert scanner.final_usage() == (8, 0)


def test_the_engine_s_header_tells_the_usage_of_a_whole_response() -> None:
    """Before any of the body has come; a header that is no usage tells nothing."""
    scanner = UsageScanner()
    scanner.header = b'{"prompt_tokens":4,"completion_tokens":6,"cached_tokens":0}'
    assert scanner.usage() == scanner.final_usage() == (4, 6)
    scanner.header = b"[]"
    assert scanner.usage() == (None, None)


def test_what_the_engine_told_when_asked_wins() -> None:
    """It knows best what it did for a request that was broken off."""
    scanner = scan(EARLY)
    scanner.settled = (9, 1)
    assert scanner.usage() == (9, 1)
