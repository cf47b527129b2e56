"""`./console.sh upgrade`: a new version is fetched and served; a bad one is taken back."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.appliance import Appliance

WHO = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running server in a clone of a repository."""
    with Appliance(LLAMA_PROXY_ENABLED="0") as appliance:
        git(appliance.root, "init", "--quiet", "--initial-branch=main")
        git(appliance.root, "add", "--all")
        git(appliance.root, "commit", "--quiet", "--message=first")
        git(appliance.base, "clone", "--quiet", "--bare", str(appliance.root), "origin.git")
        git(appliance.root, "remote", "add", "origin", str(appliance.base / "origin.git"))
        git(appliance.root, "fetch", "--quiet")
        git(appliance.root, "branch", "--quiet", "--set-upstream-to=origin/main")
        git(appliance.base, "clone", "--quiet", "origin.git", "author")
        appliance.start()
        yield appliance


def publish(appliance: Appliance, name: str, content: str) -> str:
    """Commit a file and push it; returns the commit."""
    author = appliance.base / "author"
    (author / name).write_text(content)
    git(author, "add", "--all")
    git(author, "commit", "--quiet", f"--message={name}")
    git(author, "push", "--quiet")
    return git(author, "rev-parse", "HEAD")


def test_a_new_version_is_served(appliance: Appliance) -> None:
    """Its last commits are listed, however many there are; a second upgrade has nothing to do."""
    before = appliance.pid("server")
    for number in range(60):
        git(appliance.base / "author", "commit", "--quiet", "--allow-empty", f"--message={number}")
    new = publish(appliance, "CHANGELOG.md", "# A new version\n")
    done = appliance.console("upgrade")
    assert done.returncode == 0, done.stderr
    assert git(appliance.root, "rev-parse", "HEAD") == new
    assert "CHANGELOG.md" in done.stderr
    assert appliance.status()["ok"]
    assert appliance.pid("server") != before
    again = appliance.console("upgrade")
    assert again.returncode == 0
    assert "this is the newest version" in again.stderr


def test_a_version_that_does_not_start_is_taken_back(appliance: Appliance) -> None:
    """The old one serves again, and the exit status says so."""
    old = git(appliance.root, "rev-parse", "HEAD")
    publish(appliance, "runtime/engine/__main__.py", "raise SystemExit('a mistake')\n")
    done = appliance.console("upgrade")
    assert done.returncode == 1
    assert "a mistake" in done.stderr
    assert "the old one is back" in done.stderr
    assert git(appliance.root, "rev-parse", "HEAD") == old
    assert appliance.status()["ok"]


def test_a_checkout_that_follows_no_branch_is_told_so(appliance: Appliance) -> None:
    """Such as that of a tag. Nothing is saved or fetched."""
    git(appliance.root, "checkout", "--quiet", "--detach")
    done = appliance.console("upgrade")
    git(appliance.root, "checkout", "--quiet", "main")
    assert done.returncode == 1
    assert "follows no branch of a remote" in done.stderr
    assert "git switch" in done.stderr
    assert "commits of its own" not in done.stderr


def test_changes_of_ones_own_are_not_lost(appliance: Appliance) -> None:
    """With changed files nothing is fetched."""
    readme = appliance.root / "README.md"
    before = readme.read_text()
    readme.write_text("mine")
    done = appliance.console("upgrade")
    assert done.returncode == 1
    assert "README.md" in done.stderr
    assert readme.read_text() == "mine"
    readme.write_text(before)
