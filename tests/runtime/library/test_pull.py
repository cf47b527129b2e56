"""Models downloaded from a hub: chosen, resumed and verified; incomplete files never count as models."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from runtime.config import load
from runtime.library import pull
from runtime.library.catalogue import DEFAULTS, EMBEDDING, Variant, default_for, proposed, variants_of
from runtime.library.hub import HubError, RemoteFile
from tests.support.engine import copy_runtime
from tests.support.gguf import build_model, write_headers_only
from tests.support.gguf_bert import random_bert
from tests.support.hub import FakeHub, Refusal
from tests.support.process import free_port, heed_interrupts
from tests.support.terminal import ask_on_terminal
from tests.support.wait import wait_until

REPO = "someone/Small-GGUF"
GIB = 2**30
CHUNK = constants.DOWNLOAD_CHUNK_SIZE
"""The library writes so many bytes at a time."""
Here = Callable[..., Path]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[FakeHub]:
    """A hub with a model in two quantisations, and other files that are not models."""
    with FakeHub(REPO) as hub:
        model = build_model(tmp_path / "made.gguf").read_bytes()
        hub.files["small-q4_k_m.gguf"] = model
        hub.files["small-q8_0.gguf"] = (
            build_model(tmp_path / "larger.gguf", seed=1).read_bytes() + b"0" * 9
        )
        hub.files["mmproj-small-f16.gguf"] = b"GGUF"
        hub.files["README.md"] = b"# Small"
        yield hub


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without models."""
    (tmp_path / "checkout").mkdir()
    return copy_runtime(tmp_path / "checkout")


def spawn(checkout: Path, hub: FakeHub, *arguments: str, **values: str) -> subprocess.Popen[str]:
    """`console.sh pull` as a separate process."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA", "HF_"))}
    settings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(checkout / "hf")}
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.library.pull", *arguments],
        cwd=checkout,
        env={**inherited, **settings, **values},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,  # noqa: PLW1509 - it takes no lock
    )


def run(checkout: Path, hub: FakeHub, *arguments: str, **values: str) -> tuple[int, str, str]:
    """Exit status, output and messages of a pull that ends by itself."""
    with spawn(checkout, hub, *arguments, **values) as process:
        output, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    return process.returncode, output, errors


@pytest.fixture
def here(checkout: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A pull within this process, which is faster. Returns the path or raises."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    files = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    return lambda repo, wanted="": pull.run(load(checkout, {}), repo, wanted)


def in_models(checkout: Path) -> set[str]:
    """Every file below models/, including unfinished downloads."""
    folder = checkout / "models"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_fetched_whole_and_only_once(checkout: Path, hub: FakeHub, here: Here) -> None:
    """Its path is printed, no second copy is kept, and a second pull downloads nothing."""
    status, output, errors = run(checkout, hub, REPO, "small-q4_k_m.gguf", HF_TOKEN="hf_secret")
    path = checkout / "models/small-q4_k_m.gguf"
    assert (status, output) == (0, f"{path}\n"), errors
    assert path.read_bytes() == hub.files["small-q4_k_m.gguf"]
    assert in_models(checkout) == {"small-q4_k_m.gguf"}
    assert not (checkout / "hf").exists()
    assert hub.tokens == {"Bearer hf_secret"}
    assert here(REPO, "Q4_K_M") == path
    assert len(hub.ranges) == 1


def test_a_connection_that_is_cut_is_taken_up_where_it_was(
    checkout: Path, hub: FakeHub, here: Here
) -> None:
    """The download continues with a Range request, and the file is correct."""
    hub.files["small-q4_k_m.gguf"] += bytes(2 * CHUNK)
    hub.cut_after, hub.cuts = CHUNK + 100, 1
    path = here(REPO, "small-q4_k_m.gguf")
    assert hub.ranges == [None, f"bytes={CHUNK}-"]
    assert path.read_bytes() == hub.files["small-q4_k_m.gguf"]


def test_an_interrupted_pull_is_gone_on_with(checkout: Path, hub: FakeHub, here: Here) -> None:
    """Ctrl-C keeps the beginning, which is not a model; the next pull requests only the rest."""
    hub.files["small-q4_k_m.gguf"] += bytes(2 * CHUNK)
    hub.cut_after, hub.cuts = CHUNK + 100, 100
    with spawn(checkout, hub, REPO, "Q4_K_M") as process:

        def part() -> Path | None:
            found = [path for path in (checkout / "models").rglob("*.part") if path.stat().st_size]
            return found[0] if found else None

        begun = wait_until(part, "a part of the file")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again to resume" in errors
    assert "Traceback" not in errors
    assert [name[:6] for name in in_models(checkout)] == [".pull/"]
    kept = begun.stat().st_size
    hub.cuts, hub.ranges = 0, []
    path = here(REPO, "Q4_K_M")
    assert hub.ranges == [f"bytes={kept}-"]
    assert path.read_bytes() == hub.files["small-q4_k_m.gguf"]
    assert in_models(checkout) == {"small-q4_k_m.gguf"}


def test_what_does_not_have_its_checksum_is_removed(checkout: Path, hub: FakeHub) -> None:
    """A file of the right length with wrong content is an error, and nothing of it is kept."""
    hub.checksums["small-q4_k_m.gguf"] = "0" * 64
    status, output, errors = run(checkout, hub, REPO, "Q4_K_M")
    assert (status, output) == (1, "")
    assert "error: small-q4_k_m.gguf was damaged" in errors
    assert in_models(checkout) == set()


def test_a_file_that_is_no_model_is_not_kept(
    checkout: Path, hub: FakeHub, here: Here, tmp_path: Path
) -> None:
    """Though it came as the hub has it."""
    hub.files["vocabulary-q2_k.gguf"] = write_headers_only(tmp_path / "v.gguf").read_bytes()
    with pytest.raises(pull.PullError, match="was not kept: it contains only a vocabulary"):
        here(REPO, "vocabulary-q2_k.gguf")
    assert in_models(checkout) == set()


def test_a_split_model_comes_with_all_parts(
    checkout: Path, hub: FakeHub, here: Here, tmp_path: Path
) -> None:
    """By the name of any of them, from a folder of the repository too."""
    first = build_model(tmp_path / "split-q5_0.gguf", tensors_per_file=8)
    parts = sorted(first.parent.glob("split-q5_0-*.gguf"))
    hub.files |= {f"q5/{part.name}": part.read_bytes() for part in parts}
    assert here(REPO, parts[1].name) == checkout / "models" / first.name
    assert in_models(checkout) == {part.name for part in parts}
    assert len(parts) == 3


def test_without_a_file_the_best_that_fits_is_fetched(
    here: Here, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal the proposed model is downloaded; all are listed with their sizes."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert here(REPO).name == "small-q8_0.gguf"
    listed = capsys.readouterr().err
    (row,) = [line for line in listed.splitlines() if "<- proposed" in line]
    assert row.split()[:4] == ["2)", "Q8_0", "465", "KB"]
    assert "mmproj" not in listed


def test_a_terminal_is_asked(checkout: Path, hub: FakeHub) -> None:
    """Until the answer is one of the numbers."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA", "HF_"))}
    answer = ask_on_terminal(
        [sys.executable, "-m", "runtime.library.pull", REPO],
        b"9\n1\n",
        cwd=checkout,
        env=environment | {"HF_ENDPOINT": hub.url},
    )
    assert answer == (0, f"{checkout}/models/small-q4_k_m.gguf\n")


def test_another_file_of_that_name_is_not_replaced(checkout: Path, here: Here) -> None:
    """It may be the model that is served."""
    mine = checkout / "models/small-q4_k_m.gguf"
    mine.write_bytes(b"mine")
    with pytest.raises(pull.PullError, match="rename or remove it first"):
        here(REPO, "Q4_K_M")
    assert mine.read_bytes() == b"mine"


def test_a_disk_without_room_is_noticed_before(hub: FakeHub, here: Here) -> None:
    """Nothing is downloaded."""
    hub.sizes["small-q4_k_m.gguf"] = 2**60
    with pytest.raises(pull.PullError, match="free some disk space"):
        here(REPO, "Q4_K_M")
    assert hub.ranges == []


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (Refusal(401), "HF_TOKEN"),
        (Refusal(403, {"X-Error-Code": "GatedRepo"}), "is gated: accept its conditions"),
        (Refusal(404, {"X-Error-Code": "RepoNotFound"}), f"there is no {REPO} on the hub"),
        (Refusal(429, {"Retry-After": "77"}), "try again in 77 seconds"),
        (Refusal(500), "the hub answers 500"),
    ],
)
def test_a_hub_that_refuses_is_explained(
    hub: FakeHub, here: Here, refusal: Refusal, reason: str
) -> None:
    """The message says what to do."""
    hub.refusal = refusal
    with pytest.raises(HubError, match=reason):
        here(REPO, "Q4_K_M")


def test_what_is_not_there_is_named(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a missing repository, a bad name, a hub that cannot be reached, and offline
    mode."""
    with pytest.raises(pull.PullError, match=r"has no Q2_K. It has:\n  small-q4_k_m.gguf\n"):
        here(REPO, "Q2_K")
    with pytest.raises(HubError, match="there is no someone/Else"):
        here("someone/Else")
    with pytest.raises(HubError, match="OWNER/NAME"):
        here("no such//name")
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(HubError, match="cannot be reached"):
        here(REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        here(REPO)


def test_nothing_but_pull_waits_for_the_hub_s_library() -> None:
    """No other command imports it: that takes a third of a second."""
    code = (
        "import runtime.library.listing, runtime.supervisor.status, proxy.__main__, sys;"
        "import runtime.engine.__main__;"
        "sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def remote(name: str, size_bytes: int) -> RemoteFile:
    digest = hashlib.sha256(name.encode()).hexdigest()
    return RemoteFile(repo=REPO, path=name, size_bytes=size_bytes, sha256=digest, url="")


def test_the_proposal_leaves_half_of_the_memory() -> None:
    """The largest quantised model that takes half of the memory, else the smallest."""
    sizes = {"m-Q2_K": 3, "m-Q4_K_M": 5, "m-Q8_0": 8, "m-f16": 15}
    variants = variants_of([remote(f"{name}.gguf", size * GIB) for name, size in sizes.items()])

    def best(memory_gib: int) -> str:
        return proposed(variants, memory_gib * GIB).quantisation

    assert [best(64), best(15), best(7), best(4)] == ["Q8_0", "Q4_K_M", "Q2_K", "Q2_K"]


@pytest.mark.parametrize(
    ("name", "quantisation"),
    [
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("Llama-3.2-1B-Instruct-IQ3_XXS.gguf", "IQ3_XXS"),
        ("model.BF16.gguf", "BF16"),
        ("qwen2.5-0.5b-instruct-fp16.gguf", "FP16"),
        ("plain.gguf", ""),
    ],
)
def test_a_quantisation_is_read_from_the_name(name: str, quantisation: str) -> None:
    """In the forms in which repositories write it."""
    assert Variant(files=(remote(name, 1),)).quantisation == quantisation


def test_a_default_is_for_every_machine() -> None:
    """More memory gives a larger model; the last default needs no minimum."""
    assert default_for(0) == DEFAULTS[-1]
    assert default_for(64 * GIB) == DEFAULTS[0]
    memories = [one.memory_bytes for one in DEFAULTS]
    assert memories == sorted(memories, reverse=True)


def test_a_model_for_embeddings_is_proposed_and_its_setting_named(
    checkout: Path, tmp_path: Path
) -> None:
    """`pull embedding`; it is not for `use`, which would end all chats."""
    with FakeHub(EMBEDDING.repo) as hub:
        content = random_bert().write(tmp_path / "made.gguf").read_bytes()
        hub.files["embed-q8_0.gguf"] = content
        status, output, errors = run(checkout, hub, "embedding")

    assert (status, Path(output.strip()).name) == (0, "embed-q8_0.gguf"), errors
    assert "LLAMA_SERVER_EMBEDDING_MODEL=embed-q8_0.gguf in runtime/config.env" in errors
    assert "console.sh use" not in errors
