"""Embeddings: inputs a second, one by one and together, and what they cost the answers beside them.

    runtime/.venv/bin/python -m tests.bench.embeddings [--rounds N] [--model FILE] [--chat FILE] [--json]

One engine with a model that generates and one that embeds beside it, with the engine's own numbers of
threads. Unless files are named, both have random weights: the embedding model is of the size of MiniLM
(6 layers, 384 wide). Texts have some thirty tokens.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.bench.report import Table, machine
from tests.support.engine import Engine
from tests.support.gguf import Shape, build_model
from tests.support.gguf_bert import WORDS, random_bert

CHAT = Shape(layers=12, width=512, heads=8, feed_forward=1536)
INPUTS = 256
WORDS_EACH = 28
AT_A_TIME = 8
LIST = 4
ANSWER_TOKENS = 120
ONE, MANY, TOGETHER = "one by one", f"{AT_A_TIME} requests at a time", "64 in a request"
ALONE, BESIDE = "alone", "beside embeddings"


class Asked:
    """An engine, asked by plain blocking sockets."""

    def __init__(self, engine: Engine) -> None:
        self._port = engine.port
        self._headers = {**engine.headers, "Content-Type": "application/json"}

    def post(self, path: str, body: object) -> dict[str, object]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request("POST", path, json.dumps(body), self._headers)
            response = connection.getresponse()
            answer: dict[str, object] = json.loads(response.read())
            assert response.status == http.client.OK, answer
            return answer
        finally:
            connection.close()

    def embed(self, texts: Sequence[str]) -> None:
        self.post("/v1/embeddings", {"input": list(texts), "encoding_format": "base64"})

    def answer_tokens_per_s(self) -> float:
        """Of one answer, its short prompt included."""
        body = {"prompt": "Hello", "max_tokens": ANSWER_TOKENS, "min_tokens": ANSWER_TOKENS}
        began = time.perf_counter()
        self.post("/v1/completions", {**body, "temperature": 1, "seed": 1})
        return ANSWER_TOKENS / (time.perf_counter() - began)


def _texts() -> list[str]:
    random = np.random.default_rng(1)
    return [" ".join(random.choice(WORDS, WORDS_EACH)) for _ in range(INPUTS)]


def _one_by_one(asked: Asked, texts: Sequence[str]) -> None:
    for text in texts:
        asked.embed([text])


def _at_a_time(asked: Asked, texts: Sequence[str]) -> None:
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(lambda text: asked.embed([text]), texts))


def _in_lists(asked: Asked, texts: Sequence[str]) -> None:
    for start in range(0, len(texts), 64):
        asked.embed(texts[start : start + 64])


_WAYS: dict[str, Callable[[Asked, Sequence[str]], None]] = {
    ONE: _one_by_one,
    MANY: _at_a_time,
    TOGETHER: _in_lists,
}


@contextmanager
def _embedding_all_the_time(asked: Asked, texts: Sequence[str]) -> Iterator[list[int]]:
    """Embed short lists in another thread; gives how many inputs were done, as the only member."""
    done, ends = [0], threading.Event()

    def work() -> None:
        while not ends.is_set():
            asked.embed(texts[:LIST])
            done[0] += LIST

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        ends.set()
        thread.join()


def measure(engine: Engine, rounds: int) -> list[Table]:
    """Inputs a second in each way, and tokens a second of an answer alone and beside embeddings."""
    asked, texts = Asked(engine), _texts()
    inputs = Table(
        title="Inputs a second",
        columns=list(_WAYS),
        ratios=[(MANY, ONE), (TOGETHER, ONE)],
    )
    answers = Table(
        title="While an answer is generated", columns=[ALONE, BESIDE], ratios=[(BESIDE, ALONE)]
    )
    asked.embed(texts[:8])
    asked.answer_tokens_per_s()
    for _ in range(rounds):
        for name, way in _WAYS.items():
            began = time.perf_counter()
            way(asked, texts)
            inputs.add("nothing else runs", name, len(texts) / (time.perf_counter() - began))
        answers.add("tokens a second of the answer", ALONE, asked.answer_tokens_per_s())
        began = time.perf_counter()
        _in_lists(asked, texts[:LIST])
        answers.add("inputs a second", ALONE, LIST / (time.perf_counter() - began))
        with _embedding_all_the_time(asked, texts) as done:
            began, before = time.perf_counter(), done[0]
            answers.add("tokens a second of the answer", BESIDE, asked.answer_tokens_per_s())
            n_done = done[0] - before
            answers.add("inputs a second", BESIDE, n_done / (time.perf_counter() - began))
    return [inputs, answers]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.embeddings")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="a GGUF file that embeds")
    parser.add_argument("--chat", type=Path, help="a GGUF file that generates")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        chat = options.chat or build_model(root / "chat.gguf", shape=CHAT, quantized=True)
        model = options.model or random_bert(layers=6, width=384).write(root / "embedding.gguf")
        env = {
            "LLAMA_SERVER_EMBEDDING_MODEL": str(model.resolve()),
            "LLAMA_SERVER_N_CTX": "1024",
            "LLAMA_SERVER_N_THREADS": "",
        }
        (root / "engine").mkdir()
        with Engine(root / "engine", chat.resolve(), env=env) as engine:
            tables = measure(engine.start(), options.rounds)
    if options.json:
        print(json.dumps({**where, "tables": [table.data() for table in tables]}, indent=2))
    else:
        shown = "\n".join(f"{name}: {value}" for name, value in where.items())
        print(shown, *(table.text() for table in tables), sep="\n\n")


if __name__ == "__main__":
    main()
