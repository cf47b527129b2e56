"""Whatever is sent to it: the engine lives, answers in time and in form, and its next answer is right.

Bodies are generated, see tests/support/bodies.py. `./console.sh bench bodies` sends many more of them,
other ones each time.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import struct
import subprocess
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from gguf import PoolingType
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st

from tests.support import bodies
from tests.support.bodies import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    RERANK,
    RESPONSES,
    Request,
)
from tests.support.engine import API_KEY, Engine
from tests.support.gguf import build_model
from tests.support.gguf_bert import random_bert
from tests.support.templates import HERMES_MARKS, HERMES_TEMPLATE

EXAMPLES = int(os.environ.get("LLAMASERVE_FUZZ_EXAMPLES", "500"))
"""Bodies of each family, on average."""
BATCH = 8
"""Bodies of one example at the most: after each example it is checked that the model answers as ever."""
ANSWER_SECONDS = 20
N_CTX = 512
MAX_TOKENS = 8
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "temperature": 0, "max_tokens": 6}
REFUSALS = {400, 404, 405, 413, 415}
FINISH_REASONS = {"stop", "length", "tool_calls", "function_call"}
_INSIDE = re.compile(
    r"Traceback|\b\w+(Error|Exception)\(|<\w[\w.]* object at|\.py\b|\.rs\b|site-packages|"
    r"panicked|RUST_BACKTRACE|" + "|".join(map(re.escape, (sys.prefix, str(Path.home()) + "/")))
)
"""What tells of the program, not of the request."""

# The families differ in what they need; ten minutes of shrinking would tell no more than one.
fuzzed = settings(
    max_examples=max(1, EXAMPLES * 2 // BATCH),
    database=None,
    derandomize="LLAMASERVE_FUZZ_EXAMPLES" not in os.environ,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    kind: str
    content: bytes


class Target:
    """A running engine and one connection to it that is kept. Counts what was sent."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._model = build_model(
            root / "m.gguf", eos_logit=-3.0, chat_template=HERMES_TEMPLATE, user_defined=HERMES_MARKS
        )
        self._beside = {
            "LLAMA_SERVER_EMBEDDING_MODEL": str(random_bert().write(root / "embedding.gguf")),
            "LLAMA_SERVER_RERANK_MODEL": str(
                random_bert(pooling=PoolingType.RANK).write(root / "reranker.gguf")
            ),
        }
        self._connection: http.client.HTTPConnection | None = None
        self.engine = self._started()
        self.statuses: Counter[int] = Counter()
        self.restarts = 0
        self.hello = self.ask(Request("POST", CHAT, json.dumps(HELLO).encode()))

    def _started(self) -> Engine:
        root = self._root / f"engine-{time.monotonic_ns()}"
        root.mkdir()
        env = {"LLAMA_SERVER_N_CTX": str(N_CTX), "LLAMA_SERVER_MAX_TOKENS": str(MAX_TOKENS)}
        return Engine(root, self._model, env=env | self._beside).start()

    @property
    def is_alive(self) -> bool:
        return self.engine.process is not None and self.engine.process.poll() is None

    def revive(self) -> None:
        """Start it again if it died, so that the search for the smallest killer goes on."""
        if not self.is_alive:
            self.close()
            self.engine = self._started()
            self.restarts += 1

    def close(self) -> None:
        """End the engine."""
        self._hang_up()
        self.engine.stop()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def ask(self, request: Request) -> Answer:
        """Send a request and read the answer; fails if there is none in time, or it ends the engine."""
        began = time.monotonic()
        try:
            answer = self._exchange(request)
        except TimeoutError:
            self._fail(request, f"no answer within {ANSWER_SECONDS} s")
        except (OSError, http.client.HTTPException) as error:
            with suppress(subprocess.TimeoutExpired):
                assert self.engine.process is not None
                self.engine.process.wait(timeout=1)
            self._fail(request, f"no whole answer: {error!r}")
        if not self.is_alive:
            self._fail(request, "the engine ended")
        if (seconds := time.monotonic() - began) > ANSWER_SECONDS:
            self._fail(request, f"the answer took {seconds:.0f} s")
        return answer

    def _exchange(self, request: Request) -> Answer:
        try:
            if self._connection is not None:
                return self._send(self._connection, request)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            if not self.is_alive:
                raise  # else it was closed for having been idle
        self._hang_up()
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", self.engine.port, timeout=ANSWER_SECONDS
        )
        return self._send(self._connection, request)

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> Answer:
        headers = {
            "Authorization": f"Bearer {API_KEY}",
            "Content-Type": "application/json",
            "X-Llamaserve-Usage": "comment",
        }
        connection.request(request.method, request.path, request.body, headers)
        response = connection.getresponse()
        content = response.read()
        self.statuses[response.status] += 1
        return Answer(response.status, response.headers.get("Content-Type", ""), content)

    def _fail(self, request: Request, reason: str) -> NoReturn:
        self._hang_up()
        died = "" if self.is_alive else f" (the engine ended: {self.engine.process!r})"
        pytest.fail(f"{reason}{died}: {request}\n{self.engine.log[-2000:]}")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One engine for all; it has to last."""
    running = Target(tmp_path_factory.mktemp("fuzz"))
    try:
        yield running
    finally:
        running.close()


# Hundreds of bodies, each with up to sixteen responses: minutes on a busy machine.
@pytest.mark.timeout(max(600, EXAMPLES))
@pytest.mark.parametrize("family", bodies.families)
def test_no_body_hurts(target: Target, family: str) -> None:
    """Each is answered or refused, in form; the process and its answers to others stay the same."""
    sent = Counter[int]()

    @fuzzed
    @given(st.lists(bodies.families[family], min_size=1, max_size=BATCH))
    def send(batch: list[Request]) -> None:
        target.revive()
        before = target.statuses.copy()
        for request in batch:
            note(str(request))
            answer = target.ask(request)
            event(f"status {answer.status}")
            check(request, answer)
        sent.update(target.statuses - before)
        _check_hello(target)

    send()

    print(f"\n{family}: {sent.total()} bodies, {dict(sorted(sent.items()))}")
    assert target.restarts == 0
    assert sent.total() >= EXAMPLES // 2


def _check_hello(target: Target) -> None:
    """An ordinary request gets the answer that it got at first."""
    answer = target.ask(Request("POST", CHAT, json.dumps(HELLO).encode()))
    assert answer.status == 200
    assert json.loads(answer.content)["choices"] == json.loads(target.hello.content)["choices"]


def check(request: Request, answer: Answer) -> None:
    """Fail if an answer is none that a client could understand, or tells too much."""
    if request.method == "HEAD":
        assert answer.status in {200, 405, 404}
        assert not answer.content
        return
    text = answer.content.decode()
    if request.path not in {"/openapi.json", "/docs"}:
        leaked = _INSIDE.search(text.replace(request.body.decode("utf-8", "replace"), ""))
        assert leaked is None or leaked[0].encode() in request.body, text
    if answer.status != 200:
        assert answer.status in REFUSALS, (answer.status, text)
        # The parser knows no path in what it cannot read, such as a method that does not exist.
        is_read = b'"code":"invalid_http"' not in answer.content
        is_anthropic = is_read and f"{request.path}/".startswith(f"{MESSAGES[0]}/")
        check_form = _check_anthropic_s if is_anthropic else _check_refusal
        check_form(answer, strict(text))
    elif answer.kind.startswith("text/event-stream") and request.path in {RESPONSES, *MESSAGES}:
        _check_named_events(request, text)
    elif answer.kind.startswith("text/event-stream"):
        _check_stream(request, text)
    elif answer.kind == "application/json":
        body = strict(text)
        if request.path in {CHAT, *COMPLETIONS}:
            _check_usage(request, body["usage"])
            assert [choice["index"] for choice in body["choices"]] == list(range(_n_choices(request)))
            assert None not in [_finish(choice) for choice in body["choices"]]
            _check_json(request, body["choices"][0])
        elif request.path == EMBEDDINGS:
            _check_vectors(body["data"])
        elif request.path in RERANK:
            _check_ranking(request, body["results"])
    else:
        assert request.path in {"/metrics", "/docs"}


def strict(text: str) -> Any:
    """JSON as the standard has it: Python would read NaN too."""

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _check_refusal(answer: Answer, body: Any) -> None:
    """OpenAI's envelope, nothing else: https://platform.openai.com/docs/guides/error-codes."""
    assert answer.kind == "application/json"
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert len(error["message"]) > 10
    assert error["type"] == "invalid_request_error"
    assert isinstance(error["param"], str | None)
    assert isinstance(error["code"], str | None)


def _check_anthropic_s(answer: Answer, body: Any) -> None:
    """Anthropic's envelope, nothing else: https://docs.anthropic.com/en/api/errors."""
    assert answer.kind == "application/json"
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["error"]["type"] in {"invalid_request_error", "not_found_error", "request_too_large"}
    assert len(body["error"]["message"]) > 10


def _check_named_events(request: Request, text: str) -> None:
    """Server-sent events with their type twice, and an end of their own, with the usage before it."""
    *events, last = [item for item in text.split("\n\n")[:-1] if not item.startswith(": usage ")]
    for item in [*events, last]:
        name, data = item.split("\ndata: ")
        assert strict(data)["type"] == name.removeprefix("event: ")
    ends = {"message_stop"} if request.path in MESSAGES else {"completed", "incomplete", "failed"}
    kind = strict(last.split("\ndata: ")[1])["type"].removeprefix("response.")
    assert kind in {*ends, "error"}
    assert text.rstrip().rsplit("\n\n", 2)[1].startswith(": usage ") or kind in {"error", "failed"}


def _check_stream(request: Request, text: str) -> None:
    """Server-sent events of JSON that end with [DONE] or an error, and the usage before it."""
    assert text.endswith("\n\n")
    events = text.split("\n\n")[:-1]
    for item in events:
        assert re.fullmatch(r"(data: |: )[^\r\n]+", item), item
    data = [item.removeprefix("data: ") for item in events if item.startswith("data: ")]
    usage = [item.removeprefix(": usage ") for item in events if item.startswith(": usage ")]
    chunks = [strict(item) for item in data[:-1]]
    if data[-1] != "[DONE]":
        assert set(strict(data[-1])["error"]) == {"message", "type", "param", "code"}
        return
    _check_usage(request, strict(usage[-1]))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    for index in range(_n_choices(request)):
        finishes = [_finish(choice) for choice in choices if choice["index"] == index]
        assert [reason for reason in finishes if reason] == finishes[-1:]


def _n_choices(request: Request) -> int:
    """Responses that were asked for."""
    return _n_prompts(request) * int(json.loads(request.body).get("n") or 1)


def _n_generated(request: Request) -> int:
    """Responses that were generated, those that `best_of` leaves out too."""
    best_of = json.loads(request.body).get("best_of")
    is_completion = request.path in COMPLETIONS
    return _n_prompts(request) * int(best_of) if is_completion and best_of else _n_choices(request)


def _n_prompts(request: Request) -> int:
    prompt = json.loads(request.body).get("prompt")
    return len(prompt) if isinstance(prompt, list) and isinstance(prompt[0], str | list) else 1


def _finish(choice: Any) -> str | None:
    reason = choice["finish_reason"]
    assert reason in {*FINISH_REASONS, None}
    return None if reason is None else str(reason)


def _check_usage(request: Request, usage: Any) -> None:
    """The answer is no longer than was asked for, and fits into the context."""
    total = usage["prompt_tokens"] + usage["completion_tokens"]
    n_generated = _n_generated(request)
    assert usage.get("total_tokens", total) == total <= n_generated * N_CTX
    sent = json.loads(request.body)
    limit = sent.get("max_tokens")
    if request.path == CHAT and sent.get("max_completion_tokens") is not None:
        limit = sent["max_completion_tokens"]
    allowed = MAX_TOKENS if limit is None or limit <= 0 else limit
    assert 0 <= usage["completion_tokens"] <= n_generated * allowed


def _check_vectors(data: Any) -> None:
    """One of length 1 for each input, in order."""
    assert [entry["index"] for entry in data] == list(range(len(data)))
    for entry in data:
        vector = entry["embedding"]
        if isinstance(vector, str):
            vector = struct.unpack(f"<{len(b64decode(vector)) // 4}f", b64decode(vector))
        assert math.isclose(math.hypot(*vector), 1, abs_tol=1e-3)


def _check_ranking(request: Request, results: Any) -> None:
    """Every document once, or the best, by falling score."""
    sent = json.loads(request.body)
    n_documents = len(sent["documents"])
    scores = [result["relevance_score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    assert len({result["index"] for result in results}) == len(results)
    assert len(results) == min(sent.get("top_n") or n_documents, n_documents)


def _check_json(request: Request, choice: Any) -> None:
    """An answer that was to be JSON, and came to its own end, is."""
    sent = json.loads(request.body)
    form = sent.get("response_format") or {}
    text = choice.get("message", {}).get("content")
    if form.get("type", "text") != "text" and not sent.get("stop") and text is not None:
        assert choice["finish_reason"] == "length" or strict(text) is not Ellipsis
