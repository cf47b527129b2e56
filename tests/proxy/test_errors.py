"""The error envelope and the headers that tell when to come back."""

from __future__ import annotations

import json

import pytest

from proxy import errors


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0001, "1ms"),
        (0.012, "12ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9995, "1m0s"),
        (60, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (3661.25, "1h1m1.25s"),
    ],
)
def test_durations_have_the_form_of_openai_s_headers(seconds: float, text: str) -> None:
    """Go durations, rounded up to the millisecond."""
    assert errors.duration(seconds) == text


def test_retry_after_is_never_zero_and_never_too_early() -> None:
    """The openai client ignores a retry-after of 0."""
    assert errors.retry_headers(0.0) == {"retry-after": "1", "retry-after-ms": "1"}
    assert errors.retry_headers(1.0001) == {"retry-after": "2", "retry-after-ms": "1001"}


def test_the_envelope_always_has_the_same_members() -> None:
    """Message, type, param and code, null where there is none."""
    error = json.loads(errors.missing_key().body())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["code"] is None
