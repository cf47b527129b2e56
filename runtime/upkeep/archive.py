"""Writes and reads the file of a backup, a gzipped tar archive of a few named files and users' files.

    python -m runtime.upkeep.archive pack FILE FOLDER [FILES]    write the files of FOLDER to FILE, and
                                                                 users' files from the directory FILES
    python -m runtime.upkeep.archive unpack FILE FOLDER          write what FILE contains into FOLDER,
                                                                 users' files into its directory `files`

Only the names in `MEMBERS` and of users' files are written or read, and only regular files: an archive
from elsewhere can neither leave FOLDER nor make links.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

MEMBERS = ("about.txt", "database.sql", "config.env", "dot.env")
"""What a backup contains: when and of what it was made; the database, the configuration files."""
USER_FILES = "files"
_USER_FILE = re.compile(rf"{USER_FILES}/file-[0-9a-f]{{1,64}}")
"""A file that a user has uploaded (`proxy/files/`). It never changes, but may be deleted meanwhile."""
REQUIRED = "about.txt"
FIRST_LINE = "Llamaserve backup 1"
"""The first line of about.txt: the form of the archive."""


class ArchiveError(Exception):
    """The file is no backup, or was not written. The text gives the reason."""


def pack(file: Path, folder: Path, files: Path | None = None) -> None:
    """Write a backup, readable only for its owner. An existing file is left as it is.

    `files`: the directory of users' files, to be read after the database: it has those of all rows then,
    but for what is deleted meanwhile.

    Raises:
        ArchiveError: the file exists.
        OSError: it cannot be written; nothing is left of it.
    """
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
            with tarfile.open(fileobj=output, mode="w:gz") as archive:
                for name in MEMBERS:
                    if (folder / name).is_file():
                        archive.add(folder / name, arcname=name, filter=_without_owner)
                _add_user_files(archive, files)
            output.flush()
            os.fsync(output.fileno())
        # Unlike a move, a link does not replace a file that came into being meanwhile.
        os.link(part, file)
    except FileExistsError:
        raise ArchiveError(f"{file} exists: name another file, or remove it") from None
    finally:
        part.unlink(missing_ok=True)


def _add_user_files(archive: tarfile.TarFile, files: Path | None) -> None:
    if files is None or not files.is_dir():
        return
    for path in sorted(files.iterdir()):
        name = f"{USER_FILES}/{path.name}"
        if _USER_FILE.fullmatch(name):
            with suppress(FileNotFoundError):  # it has just been deleted
                archive.add(path, arcname=name, filter=_without_owner)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def unpack(file: Path, folder: Path) -> list[str]:
    """Write the files of a backup into a folder, readable only for their owner. Returns their names.

    Raises:
        ArchiveError: the file is no backup, is damaged, or has another form.
        OSError: a file cannot be read or written.
    """
    found: list[str] = []
    (folder / USER_FILES).mkdir(mode=0o700)
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            for member in archive:
                known = member.name in MEMBERS or _USER_FILE.fullmatch(member.name)
                if not known or not member.isreg() or member.name in found:
                    raise ArchiveError(f"{file} is no backup: it contains {member.name!r}")
                content = archive.extractfile(member)
                assert content is not None
                target = os.open(folder / member.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with content, open(target, "wb") as output:
                    shutil.copyfileobj(content, output)
                found.append(member.name)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ArchiveError(f"{file} is no backup, or is damaged: {error}") from error
    if REQUIRED not in found or not (folder / REQUIRED).read_bytes().startswith(FIRST_LINE.encode()):
        raise ArchiveError(f"{file} is no backup of this form ({FIRST_LINE})")
    return found


def main(arguments: list[str]) -> int:
    """Returns 0; 1 with the reason on stderr; 2 for wrong usage."""
    try:
        match arguments:
            case ["pack", file, folder, *files] if len(files) <= 1:
                pack(Path(file), Path(folder), *map(Path, files))
            case ["unpack", file, folder]:
                unpack(Path(file), Path(folder))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except ArchiveError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename or arguments[1]}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
