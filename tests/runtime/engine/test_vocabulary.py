"""Text to tokens: any text, in bounded time, as the stock tokenizer has it where that works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config import ROOT
from runtime.engine.vocabulary import RUN_CHARACTERS, Vocabulary
from tests.support.gguf import build_bpe_vocabulary, build_model

DEEPSEEK = "deepseek-llm"
"""A vocabulary whose splitting expression llama.cpp leaves to std::regex."""


@pytest.fixture(scope="module")
def spm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[llama_cpp.Llama]:
    """A model with a SentencePiece vocabulary."""
    path = build_model(tmp_path_factory.mktemp("spm") / "spm.gguf")
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    yield model
    model.close()


@pytest.fixture(scope="module")
def bpe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a BPE vocabulary."""
    return build_bpe_vocabulary(tmp_path_factory.mktemp("bpe") / "bpe.gguf", splitting=DEEPSEEK)


@pytest.fixture(scope="module")
def bpe(bpe_path: Path) -> Iterator[llama_cpp.Llama]:
    """A model with a BPE vocabulary."""
    model = llama_cpp.Llama(str(bpe_path), vocab_only=True, verbose=False)
    yield model
    model.close()


def vocabulary_of(model: llama_cpp.Llama) -> Vocabulary:
    return Vocabulary(llama_cpp.llama_model_get_vocab(model.model))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(text=TEXTS)
def test_it_agrees_with_the_stock_tokenizer(
    spm: llama_cpp.Llama, bpe: llama_cpp.Llama, text: str
) -> None:
    """For either kind of vocabulary, with and without marks."""
    for model in (spm, bpe):
        ours = vocabulary_of(model)
        for marks in (True, False):
            stock = model.tokenize(text.encode(), add_bos=marks, special=True)
            assert ours.tokenize(text, add_special=marks, parse_special=True) == stock


@pytest.mark.parametrize("character", ["a", "7", " ", "!", "\n", "漢", "\0"])
def test_a_run_without_end_is_tokenized(
    spm: llama_cpp.Llama, bpe: llama_cpp.Llama, character: str
) -> None:
    """Whatever it is made of, and nothing of it is lost."""
    text = "Look: " + character * (5 * RUN_CHARACTERS + 17) + " end"
    for model in (spm, bpe):
        ours = vocabulary_of(model)
        tokens = ours.tokenize(text, add_special=False, parse_special=False)
        assert ours.join(tokens).decode().strip() == text


def test_a_text_of_many_short_runs_is_not_cut(spm: llama_cpp.Llama) -> None:
    """However long: it is tokenized as the stock tokenizer has it."""
    text = "some words in line\n" * 3000
    ours = vocabulary_of(spm).tokenize(text, add_special=True, parse_special=True)

    assert ours == spm.tokenize(text.encode(), add_bos=True, special=True)


LONG_RUN = """
import llama_cpp, sys, threading
from runtime.engine.settings import THREAD_STACK_BYTES
from runtime.engine.vocabulary import Vocabulary
threading.stack_size(THREAD_STACK_BYTES)
model = llama_cpp.Llama(sys.argv[1], vocab_only=True, verbose=False)
ours = Vocabulary(llama_cpp.llama_model_get_vocab(model.model))
text = "a" * 400_000
def stock(): model.tokenize(text.encode(), add_bos=False)
def guarded():
    tokens = ours.tokenize(text, add_special=False, parse_special=True)
    assert ours.join(tokens) == text.encode()
thread = threading.Thread(target=globals()[sys.argv[2]])
thread.start(); thread.join(); print("alive")
"""
"""Tokenizes a long run, in a thread as the engine's are."""


@pytest.mark.parametrize("tokenizer", ["stock", "guarded"])
def test_a_run_ends_the_process_of_the_stock_tokenizer_only(bpe_path: Path, tokenizer: str) -> None:
    """Each in a process of its own. Goes red when llama.cpp mends it: then runs need not be cut."""
    command = [sys.executable, "-c", LONG_RUN, str(bpe_path), tokenizer]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    if tokenizer == "guarded":
        assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
    else:
        assert done.returncode < 0
        assert "alive" not in done.stdout


@pytest.mark.parametrize("tokens", [[-1], [10**6], [3, -1]])
def test_tokens_outside_the_vocabulary_are_told_apart(spm: llama_cpp.Llama, tokens: list[int]) -> None:
    """They must never reach llama.cpp."""
    ours = vocabulary_of(spm)

    assert not ours.holds(tokens)
    assert ours.holds([0, ours.n_tokens - 1])
    assert ours.holds([])
