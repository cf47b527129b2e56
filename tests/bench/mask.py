"""What holding an answer to a JSON schema costs for each token, in this process and without a model.

Random allowed tokens are taken, from vocabularies of the sizes that models have: made up ones, or that
of a GGUF file.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import llama_cpp
import numpy as np

from runtime.engine.generation.sampling.logits import LogitShaper
from runtime.engine.grammar.constraint import Constraint, Constraints
from runtime.engine.vocabulary import Vocabulary
from tests.bench.cost import SCHEMA
from tests.bench.report import Table
from tests.bench.texts import drawer, vocabulary
from tests.support.gguf import Shape, build_model

SIZES = (32_000, 128_000)
ROUNDS = 3
STEPS = 512
_NARROW = Shape(layers=1, width=32, heads=1, feed_forward=32)
_CALLS_US = ("the mask", "the token", "all of it")


def measure(rounds: int, files: Sequence[Path] = ()) -> list[Table]:
    """Measure with vocabularies of SIZES and with those of `files`."""
    table = Table(
        title="Mask: µs a token, and ms once",
        columns=["mean", "p50", "p99", "most"],
        notes=[
            f"{STEPS} tokens a round; the mask: llguidance's and its unpacking; the token: going on by "
            "one; all of it: the logits processor, which does both and forbids the rest",
        ],
    )
    with tempfile.TemporaryDirectory() as directory:
        for size in SIZES:
            path = Path(directory) / f"{size}.gguf"
            build_model(path, shape=_NARROW, extra_tokens=vocabulary(size))
            _measure(table, f"{size:,} made up", path, rounds)
        for path in files:
            _measure(table, path.name, path, rounds)
    return [table]


def _measure(table: Table, name: str, path: Path, rounds: int) -> None:
    with _loaded(path) as vocab:
        words = Vocabulary(vocab)
        constraints = Constraints(vocab, words)
        began = time.perf_counter()
        _compiled(constraints, -1)
        _add(table, f"{name}: the first schema, ms", [(time.perf_counter() - began) * 1e3])
        compiled: list[float] = []
        calls: dict[str, list[float]] = {call: [] for call in _CALLS_US}
        for number in range(rounds):
            began = time.perf_counter()
            constraint = _compiled(constraints, number)
            compiled.append((time.perf_counter() - began) * 1e3)
            _walk(constraint, drawer(number), calls)
            _shape(_compiled(constraints, number), drawer(number), words.n_tokens, calls)
        _add(table, f"{name}: a schema compiled, ms", compiled)
        for call, seconds in calls.items():
            _add(table, f"{name}: {call}, µs", [one * 1e6 for one in seconds])


def _add(table: Table, row: str, samples: list[float]) -> None:
    table.add(row, "mean", float(np.mean(samples)))
    for column, percent in (("p50", 50), ("p99", 99), ("most", 100)):
        table.add(row, column, float(np.percentile(samples, percent)))


def _compiled(constraints: Constraints, number: int) -> Constraint:
    """Another schema for each number."""
    schema = {**SCHEMA, "maxProperties": 1000 + number}
    return constraints.compile(constraints.json_schema(schema, param="response_format", strict=False))


def _walk(constraint: Constraint, draw: random.Random, calls: dict[str, list[float]]) -> None:
    for _ in range(STEPS):
        began = time.perf_counter()
        forbidden = constraint.forbidden()
        masked = time.perf_counter()
        calls["the mask"].append(masked - began)
        token = int(draw.choice(np.flatnonzero(~forbidden)))
        began = time.perf_counter()
        constraint.accept(token)
        calls["the token"].append(time.perf_counter() - began)


def _shape(
    constraint: Constraint, draw: random.Random, n_tokens: int, calls: dict[str, list[float]]
) -> None:
    shaper = LogitShaper(bias={}, min_tokens=0, ends=(), constraint=constraint)
    for _ in range(STEPS):
        logits = np.zeros(n_tokens, dtype=np.single)
        began = time.perf_counter()
        shaper.shape(logits)
        calls["all of it"].append(time.perf_counter() - began)
        shaper.accept(int(draw.choice(np.flatnonzero(np.isfinite(logits)))))


@contextmanager
def _loaded(path: Path) -> Iterator[llama_cpp.llama_vocab_p]:
    """A file's vocabulary, without its weights."""
    with closing(llama_cpp.Llama(str(path), vocab_only=True, verbose=False)) as llama:
        yield llama_cpp.llama_model_get_vocab(llama.model)
