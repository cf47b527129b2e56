"""The file of a backup: what it contains, and what is refused."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest

from runtime.upkeep.archive import FIRST_LINE, ArchiveError, main, pack, unpack
from tests.support.local_user import mode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a backup is made of."""
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "about.txt").write_text(f"{FIRST_LINE}\n")
    (folder / "database.sql").write_text("SELECT 1;\n")
    (folder / "dot.env").write_text("LLAMA_PROXY_PORT=1\n")
    return folder


def archive(file: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file


def regular(name: str) -> tarfile.TarInfo:
    return tarfile.TarInfo(name)


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_what_was_packed_comes_back(folder: Path, tmp_path: Path) -> None:
    """All files, readable only for their owner; nothing says who made the backup."""
    file, target = tmp_path / "b.tar.gz", tmp_path / "target"
    target.mkdir()
    pack(file, folder)
    assert mode(file) == 0o600
    with tarfile.open(file) as tar:
        assert {(one.uid, one.uname) for one in tar} == {(0, "")}
    assert unpack(file, target) == ["about.txt", "database.sql", "dot.env"]
    for path in target.glob("*.*"):
        assert path.read_bytes() == (folder / path.name).read_bytes()
        assert mode(path) == 0o600


def test_users_files_come_back(folder: Path, tmp_path: Path) -> None:
    """Those that are whole, and nothing else of their directory."""
    file, target, files = tmp_path / "b.tar.gz", tmp_path / "target", tmp_path / "files"
    target.mkdir()
    files.mkdir()
    for name in ("file-0a", "file-1", "file-2.part", "other"):
        (files / name).write_text(name)
    pack(file, folder, files)
    assert unpack(file, target)[3:] == ["files/file-0a", "files/file-1"]
    assert {path.name: path.read_text() for path in (target / "files").iterdir()} == {
        "file-0a": "file-0a",
        "file-1": "file-1",
    }
    assert mode(target / "files" / "file-1") == 0o600
    assert mode(target / "files") == 0o700


def test_an_existing_file_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    """It may be the only backup."""
    file = tmp_path / "b.tar.gz"
    file.write_text("older")
    with pytest.raises(ArchiveError, match="exists"):
        pack(file, folder)
    assert file.read_text() == "older"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.tar.gz", "made"]


ABOUT = (regular("about.txt"), FIRST_LINE.encode())


@pytest.mark.parametrize(
    "members",
    [
        [ABOUT, (regular("../outside"), b"x")],
        [ABOUT, (regular("/etc/passwd"), b"x")],
        [ABOUT, (regular("files/../outside"), b"x")],
        [ABOUT, (regular("files/file-1.part"), b"x")],
        [ABOUT, (link("files/file-1", "/etc/passwd"), b"")],
        [ABOUT, (link("config.env", "/etc/passwd"), b"")],
        [ABOUT, ABOUT],
        [(regular("about.txt"), b"Llamaserve backup 99")],
        [(regular("database.sql"), b"SELECT 1;")],
        [],
    ],
    ids=[
        "above",
        "absolute",
        "above files",
        "part",
        "link in files",
        "link",
        "twice",
        "another form",
        "no about.txt",
        "empty",
    ],
)
def test_another_archive_is_refused(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    """Names and kinds of files that backup does not write; nothing is written outside the folder."""
    target = tmp_path / "target"
    target.mkdir()
    file = archive(tmp_path / "b.tar.gz", *members)
    with pytest.raises(ArchiveError, match="is no backup"):
        unpack(file, target)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["b.tar.gz", "target"]


def test_a_damaged_file_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is cut off, and one that is no archive; the message names the file."""
    file, target = tmp_path / "b.tar.gz", tmp_path / "target"
    pack(file, folder)
    for content in (file.read_bytes()[:60], b"text"):
        (tmp_path / "bad").write_bytes(content)
        target.mkdir()
        assert main(["unpack", str(tmp_path / "bad"), str(target)]) == 1
        assert f"{tmp_path}/bad" in capsys.readouterr().err
        shutil.rmtree(target)
    assert main(["unpack", str(tmp_path / "missing"), str(target)]) == 1
    assert main(["unpack"]) == 2
