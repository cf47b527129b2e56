"""The other users of the machine: what they can reach of ours, and a run of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def run_as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    """Run it as a local user who has nothing to do with the server."""
    group = pwd.getpwnam("nobody").pw_gid
    return subprocess.run(
        command,
        user="nobody",
        group=group,
        extra_groups=(),
        capture_output=True,
        text=True,
        check=False,
    )


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


def python_for(user: str) -> str | None:
    """A Python of this one's minor version that the user can run; None where there is none.

    A Python below root's home, as pyenv installs one, is out of other users' reach.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [f"{sys.base_prefix}/bin/{name}", f"/usr/local/bin/{name}", f"/usr/bin/{name}"]
    for candidate in candidates:
        command = [candidate, "-c", "import venv, ensurepip"]
        try:
            subprocess.run(command, user=user, extra_groups=(), capture_output=True, check=True, cwd="/")
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return None


def copy_environment(target: Path, python: str) -> None:
    """Make a virtual environment with the packages of this one, for another Python of its version.

    Files are linked where they can be: the copy takes a few seconds and no space.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", target], check=True)
    (packages,) = target.glob("lib/python*/site-packages")
    source = Path(sys.prefix) / packages.relative_to(target)
    shutil.copytree(source, packages, copy_function=_link_or_copy, symlinks=True, dirs_exist_ok=True)
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.strip()
    ours = f"Python {sys.version.split()[0]}"
    stamp = (Path(sys.prefix) / "llamaserve-installed").read_text()
    (target / "llamaserve-installed").write_text(stamp.replace(ours, version))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


@dataclass(frozen=True, kw_only=True)
class LocalUser:
    """A user that a test has made, with a home of its own."""

    name: str
    home: Path

    def run(
        self, *command: str, environment: dict[str, str], timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, with nothing of our environment but PATH.

        Its processes are a session of their own, which is killed after `timeout_s`; the output of both
        streams is in `stdout`.
        """
        process = subprocess.Popen(
            command,
            user=self.name,
            group=pwd.getpwnam(self.name).pw_gid,
            extra_groups=(),
            umask=0o022,
            cwd=self.home,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), "USER": self.name} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
                process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, output, "")


@contextmanager
def made_user(name: str) -> Iterator[LocalUser]:
    """An ordinary user for as long as the context lasts; skips where users cannot be made."""
    if shutil.which("useradd") is None or shutil.which("userdel") is None:
        pytest.skip("there is no useradd here")
    home = Path(tempfile.mkdtemp(prefix="llamaserve-user-"))
    command = ["useradd", "--user-group", "--no-create-home", "--home-dir", str(home), name]
    subprocess.run(command, check=True, capture_output=True)
    try:
        shutil.chown(home, name, name)
        home.chmod(0o755)
        yield LocalUser(name=name, home=home)
    finally:
        shutil.rmtree(home)
        subprocess.run(["userdel", name], check=True, capture_output=True)
