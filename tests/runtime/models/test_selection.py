"""Which files are models, and which model is served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.config import Config, load
from runtime.models import selection
from runtime.models.selection import ModelError
from tests.support.engine import copy_runtime
from tests.support.gguf import build_model, truncate, write_headers_only
from tests.support.gguf_bert import random_bert
from tests.support.terminal import ask_on_terminal

MISSING = "does not exist (./console.sh models lists the models, ./console.sh pull gets one)"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without models, at a path with a space in it."""
    root = tmp_path / "a checkout"
    root.mkdir()
    return copy_runtime(root)


@pytest.fixture
def folder(checkout: Path) -> Path:
    """The models/ directory of that checkout."""
    return checkout / "models"


def config(checkout: Path, **values: str) -> Config:
    return load(checkout, values)


def run(checkout: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LLAMA_")} | values
    return subprocess.run(
        [sys.executable, "-m", "runtime.models", *arguments],
        cwd=checkout,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def remember(checkout: Path, path: Path, *, seconds_ago: float = 0) -> None:
    note = checkout / "runtime" / "data" / "model"
    note.parent.mkdir(exist_ok=True)
    note.write_text(f"{path}\n")
    noted_at = note.stat().st_mtime - seconds_ago
    os.utime(note, (noted_at, noted_at))


def test_a_model_is_described_by_its_header(folder: Path) -> None:
    """Name, architecture, context, size and template are read without loading the model."""
    path = build_model(folder / "small.gguf", context_length=3000)

    model = selection.read_model(path)

    assert (model.id, model.architecture, model.title) == ("small.gguf", "llama", "small")
    assert model.context_length == 3000
    assert model.parameters > 100_000
    assert model.file_bytes == path.stat().st_size
    assert model.has_chat_template


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "is not a GGUF file"),
        (b"GGUF", "is truncated: it ends within its header"),
        (b"GGUF\x01\0\0\0", "of version 1"),
        (b"GGUF\0\0\0\x03", "for big-endian machines"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "is damaged: its header claims"),
    ],
)
def test_what_is_no_gguf_file_is_refused_by_name(folder: Path, content: bytes, reason: str) -> None:
    """The message names the file and the reason."""
    path = folder / "odd.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelError) as raised:
        selection.read_model(path)

    assert str(raised.value).startswith(f"{path}: ")
    assert reason in str(raised.value)


@pytest.mark.parametrize("missing_bytes", [64, 1000, 400_000])
def test_a_truncated_file_is_refused(folder: Path, missing_bytes: int) -> None:
    """An incomplete download is noticed, even if only the last tensor is short."""
    path = truncate(build_model(folder / "model.gguf"), by=missing_bytes)

    with pytest.raises(ModelError, match=r"model\.gguf: is truncated: it has \d+ of \d+ bytes"):
        selection.read_model(path)


def test_a_file_that_is_not_there_is_refused(folder: Path) -> None:
    """Neither a missing file nor a directory is a model."""
    with pytest.raises(ModelError, match=r"none\.gguf: does not exist"):
        selection.read_model(folder / "none.gguf")
    with pytest.raises(ModelError, match="is a directory"):
        selection.read_model(folder)
    os.mkfifo(folder / "pipe.gguf")
    with pytest.raises(ModelError, match="is a special file"):
        selection.read_model(folder / "pipe.gguf")


@pytest.mark.parametrize(
    ("architecture", "kind", "reason"),
    [
        ("llama", "model", "contains only a vocabulary"),
        ("clip", "model", "is the image part of a model"),
        ("clip", "mmproj", "is the image part of a model"),
        ("llama", "adapter", "is of type 'adapter'"),
    ],
)
def test_a_file_that_only_goes_with_a_model_is_refused(
    folder: Path, architecture: str, kind: str, reason: str
) -> None:
    """A complete GGUF file is not always a model."""
    path = write_headers_only(folder / "part.gguf", architecture=architecture, kind=kind)

    with pytest.raises(ModelError, match=reason):
        selection.read_model(path)


def test_a_split_model_counts_as_one(folder: Path) -> None:
    """Its path is that of the first part, its size that of all parts."""
    whole = selection.read_model(build_model(folder / "model.gguf"))
    whole.path.unlink()
    first = build_model(folder / "model.gguf", tensors_per_file=8)

    found, problems = selection.find_models(folder)

    assert problems == []
    assert [model.path for model in found] == [first]
    assert found[0].parameters == whole.parameters
    assert first.name == "model-00001-of-00003.gguf"


def test_a_split_model_with_a_part_missing_or_truncated_is_refused(folder: Path) -> None:
    """The message names the part."""
    first = build_model(folder / "model.gguf", tensors_per_file=8)
    last = folder / "model-00003-of-00003.gguf"

    with pytest.raises(ModelError, match=r"name its first part, model-00001-of-00003\.gguf"):
        selection.read_model(last)
    truncate(last, by=500)
    with pytest.raises(ModelError, match=r"model-00003-of-00003\.gguf: is truncated"):
        selection.read_model(first)
    last.unlink()
    with pytest.raises(ModelError, match=r"parts are missing: model-00003-of-00003\.gguf"):
        selection.read_model(first)


def test_list_shows_what_can_be_served(checkout: Path, folder: Path) -> None:
    """One a line, by its name in models/. Damaged files are warnings; companion and hidden files are
    left out."""
    (folder / "sub").mkdir()
    (folder / ".cache").mkdir()
    build_model(folder / "b.gguf")
    build_model(folder / "sub" / "a.GGUF")
    build_model(folder / ".cache" / "hidden.gguf")
    truncate(build_model(folder / "short.gguf"), by=1000)
    write_headers_only(folder / "mmproj.gguf", architecture="clip")
    elsewhere = build_model(checkout / "elsewhere.gguf")
    remember(checkout, elsewhere)

    answer = run(checkout, "list")

    assert answer.stdout.splitlines() == ["b.gguf", "sub/a.GGUF", str(elsewhere)]
    assert [line for line in answer.stderr.splitlines() if "short.gguf: is truncated" in line]
    assert "mmproj" not in answer.stderr
    assert answer.returncode == 0


def test_check_tells_a_model_by_its_exit_status(checkout: Path, folder: Path) -> None:
    """0 without output, or 1 with one line."""
    good = run(checkout, "check", str(build_model(folder / "good.gguf")))
    bad = run(checkout, "check", "models/none.gguf")

    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr == f"error: models/none.gguf: {MISSING}\n"


def test_the_only_model_is_selected(checkout: Path, folder: Path) -> None:
    """A damaged file beside it does not matter; the absolute path is printed."""
    path = build_model(folder / "only.gguf")
    (folder / "notes.gguf").write_bytes(b"not a model")

    answer = run(checkout, "select")

    assert (answer.returncode, answer.stdout) == (0, f"{path}\n")


def test_the_starter_model_is_for_when_there_is_no_other(checkout: Path, folder: Path) -> None:
    """A model of the user's replaces it, unless the starter model was chosen explicitly."""
    (folder / "starter").mkdir()
    starter = build_model(folder / "starter" / "starter.gguf")
    assert selection.select(config(checkout)).path == starter
    remember(checkout, starter, seconds_ago=10)
    assert selection.select(config(checkout)).path == starter

    users_model = build_model(folder / "own.gguf")
    assert selection.select(config(checkout)).path == users_model
    assert selection.select(config(checkout), "starter/starter.gguf").path == starter
    assert selection.select(config(checkout), last_used_first=True).path == starter

    remember(checkout, starter, seconds_ago=-10)
    assert selection.select(config(checkout)).path == starter
    remember(checkout, starter, seconds_ago=10)
    users_model.rename(folder / "came since.gguf")
    assert selection.select(config(checkout)).path == folder / "came since.gguf"


def test_the_configured_model_wins_over_the_last_used_and_the_flag_over_both(
    checkout: Path, folder: Path
) -> None:
    """`--model` > LLAMA_SERVER_MODEL > last used > the only one. A restarted server keeps its model."""
    one, two, three = (build_model(folder / f"{name}.gguf") for name in ("one", "two", "three"))
    remember(checkout, one)
    configured = config(checkout, LLAMA_SERVER_MODEL="two.gguf")

    assert selection.select(config(checkout)).path == one
    assert selection.select(configured).path == two
    assert selection.select(configured, "three.gguf").path == three
    assert selection.select(configured, last_used_first=True).path == one


def test_a_last_used_model_that_has_gone_is_forgotten(checkout: Path, folder: Path) -> None:
    """Then the only model is served."""
    only = build_model(folder / "only.gguf")
    remember(checkout, folder / "deleted.gguf")

    assert selection.select(config(checkout)).path == only


@pytest.mark.parametrize("name", ["my model.gguf", "my model", "models/my model.gguf", "{}"])
def test_a_model_is_named_by_its_path_or_its_name_in_models(
    checkout: Path, folder: Path, name: str
) -> None:
    """With or without `.gguf`."""
    path = build_model(folder / "my model.gguf")

    assert selection.select(config(checkout), name.format(path)).path == path


def test_a_configured_model_that_is_not_there_is_refused_by_name(checkout: Path, folder: Path) -> None:
    """The other model is not served instead."""
    build_model(folder / "other.gguf")

    answer = run(checkout, "select", LLAMA_SERVER_MODEL="gone.gguf")

    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == f"error: {folder / 'gone.gguf'}: {MISSING}\n"


def test_several_models_without_a_terminal_are_named(checkout: Path, folder: Path) -> None:
    """Exit status 1, the list, and how to choose."""
    build_model(folder / "one.gguf")
    build_model(folder / "two.gguf")

    answer = run(checkout, "select")

    assert (answer.returncode, answer.stdout) == (1, "")
    assert "  one.gguf\n  two.gguf\n" in answer.stderr
    assert "--model FILE" in answer.stderr
    assert "LLAMA_SERVER_MODEL" in answer.stderr


def test_several_models_on_a_terminal_are_asked_for(checkout: Path, folder: Path) -> None:
    """The question is repeated until the answer is one of the numbers; stdout has only the path."""
    build_model(folder / "one.gguf")
    two = build_model(folder / "two.gguf")
    answer = ask_on_terminal(
        [sys.executable, "-m", "runtime.models", "select"],
        b"7\n2\n",
        cwd=checkout,
        env={k: v for k, v in os.environ.items() if not k.startswith("LLAMA_")},
    )

    assert answer == (0, f"{two}\n")


def test_no_model_says_how_to_get_one(checkout: Path, folder: Path) -> None:
    """With the command, and the reason why an existing file does not count."""
    truncate(build_model(folder / "half.gguf"), by=1000)

    answer = run(checkout, "select")

    assert answer.returncode == 1
    assert "./console.sh pull" in answer.stderr
    assert "half.gguf: is truncated" in answer.stderr


def test_wrong_usage_is_told_apart(checkout: Path) -> None:
    """Exit status 2, usage on stderr."""
    answer = run(checkout, "choose")

    assert answer.returncode == 2
    assert answer.stderr.startswith("usage: ")


def test_a_huge_file_is_checked_at_once(folder: Path) -> None:
    """Only the header is read: a sparse file of 40 GB takes no longer than a small one."""
    path = build_model(folder / "huge.gguf")
    with path.open("r+b") as file:
        file.truncate(40 * 2**30)

    assert selection.read_model(path).file_bytes == 40 * 2**30


def test_a_model_that_embeds_is_served_if_it_is_named_or_alone(checkout: Path, folder: Path) -> None:
    """Beside one that generates it takes part in no choice: it is there for other settings."""
    embedding = random_bert().write(folder / "embedding.gguf")
    assert selection.select(config(checkout)).path == embedding

    chat = build_model(folder / "chat.gguf")
    assert selection.select(config(checkout)).path == chat
    assert selection.select(config(checkout, LLAMA_SERVER_MODEL="embedding")).path == embedding
