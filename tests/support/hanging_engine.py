"""The engine, with a model that can be made to hang or fail: `python -m tests.support.hanging_engine`.

A real one does not hang on command. A prompt with the token of `#` in it stalls the evaluation for good;
one with `@` does it with the interpreter's lock in its hands, as a library of C can. A batch with `%` in
it cannot be evaluated. Of a model that embeds, `!` stalls the evaluation, and `?` makes it fail. Loading
waits for the file that LOAD_WAITS_FOR names.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from runtime.engine import __main__ as engine
from runtime.engine import app
from tests.support.gguf import token_ids
from tests.support.gguf_bert import VOCABULARY

IDS = token_ids()


def _make_hanging() -> None:
    from runtime.engine.generation.context import Context  # noqa: PLC0415 - as late as the engine does

    decode = Context.decode

    def hanging(self: Any, batch: Any) -> int:
        tokens = batch.tokens
        if IDS["%"] in tokens:
            return -3
        if IDS["#"] in tokens:
            threading.Event().wait()
        if IDS["@"] in tokens:
            ctypes.PyDLL(None).sleep(600)
        return decode(self, batch)

    Context.decode = hanging  # type: ignore[method-assign]


def _make_embeddings_hang() -> None:
    from runtime.engine.embedding.model import EmbeddingModel, EvaluationError  # noqa: PLC0415

    rows = EmbeddingModel.rows

    def hanging(self: Any, sequences: Any) -> Any:
        for tokens in sequences:
            if VOCABULARY.index("?") in tokens:
                raise EvaluationError(-3)
            if VOCABULARY.index("!") in tokens:
                threading.Event().wait()
        return rows(self, sequences)

    EmbeddingModel.rows = hanging  # type: ignore[method-assign]


if __name__ == "__main__":
    load = app.Engine.load

    def load_hanging(self: app.Engine) -> None:
        awaited = os.environ.get("LOAD_WAITS_FOR")
        while awaited and not Path(awaited).exists():
            time.sleep(0.02)
        _make_hanging()
        _make_embeddings_hang()
        load(self)

    app.Engine.load = load_hanging  # type: ignore[method-assign]
    engine._exit(engine.main(sys.argv[1:]))
