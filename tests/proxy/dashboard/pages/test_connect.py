"""Answers to the tests of clients, in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.admin.client_snippets import CHAT, MESSAGES, RESPONSES
from proxy.dashboard.data.api_requests import Answer
from proxy.dashboard.pages.connect import body_for, outcome


def answer(status: int, body: Any) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status=status, request_id="req_1", body=content, seconds=1.5)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"choices": [{"message": {"content": "Hello."}}]}),
        (MESSAGES, {"content": [{"type": "text", "text": "Hello."}]}),
        (
            RESPONSES,
            {
                "output": [
                    {"type": "reasoning"},
                    {"content": [{"type": "output_text", "text": "Hello."}]},
                ]
            },
        ),
    ],
)
def test_what_the_model_said_is_shown(path: str, body: dict[str, Any]) -> None:
    """In the form of each API."""
    assert outcome(path, answer(200, body)) == "It works (1.5 s): Hello."


@pytest.mark.parametrize("body", [b"", b"<html>", {}, {"error": "x"}, [], {"choices": []}])
def test_an_answer_that_cannot_be_read_is_told(body: Any) -> None:
    """Whatever stands between the dashboard and the proxy."""
    assert "cannot be read" in outcome(CHAT, answer(502, body))
    assert "cannot be read" in outcome(CHAT, answer(200, body))


def test_an_error_is_shown_with_its_status() -> None:
    """And no more of it than fits."""
    body = {"error": {"message": "Too many requests." + "x" * 10_000}}
    text = outcome(CHAT, answer(429, body))
    assert text.startswith("Error 429 (1.5 s): Too many requests.")
    assert len(text) < 1_000


def test_a_model_is_named_where_it_is_known() -> None:
    """An engine that is away has told none."""
    assert body_for(CHAT, "m.gguf")["model"] == "m.gguf"
    assert "model" not in body_for(MESSAGES, "MODEL")
