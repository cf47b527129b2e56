"""The appliance as an ordinary user runs it, when the suite itself runs as root.

Root's appliance gives its database to a user of its own and guards against other users' files; that of
an ordinary user runs as that user throughout. Continuous integration runs as root, so this runs the
tests of the appliance and of the main job once more under a user that it makes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.appliance import copy_tree
from tests.support.local_user import LocalUser, as_root, copy_environment, made_user, python_for

FILES = ("tests/runtime/commands/test_appliance.py", "tests/test_main_job.py")
ELSEWHERE = ("another_model", "two_starts_at_once", "loses_no_request", "limit_is_exact")
"""Long tests of what does not depend on who runs it."""
TIMEOUT_S = 600.0


@pytest.fixture
def user() -> Iterator[LocalUser]:
    """A user with a copy of this checkout, tests included, in `checkout`."""
    with made_user(f"llamaserve-test-{os.getpid() % 10**6}") as user:
        checkout = user.home / "checkout"
        copy_tree(checkout, tests=True)
        for folder, _, names in os.walk(checkout):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                shutil.chown(path, user.name, user.name)
        yield user


@as_root
@pytest.mark.timeout(TIMEOUT_S + 60)  # two files of tests, on a machine that runs others beside them
def test_an_ordinary_user_runs_the_appliance_and_its_tests(user: LocalUser) -> None:
    """`./console.sh test` passes, with nothing skipped but what only root can try."""
    python = python_for(user.name)
    if python is None:
        pytest.skip("no Python of this version that an ordinary user can run")
    venv = user.home / "venv"
    copy_environment(venv, python)
    checkout = user.home / "checkout"
    environment = {"LLAMA_VENV_DIR": str(venv), "CI": "true"}
    git = user.run("git", "init", "--quiet", str(checkout), environment={}, timeout_s=60)
    assert git.returncode == 0, git.stdout
    test = [str(checkout / "console.sh"), "test", "-q", "-k", f"not ({' or '.join(ELSEWHERE)})", *FILES]
    done = user.run(*test, environment=environment, timeout_s=TIMEOUT_S)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"^(?:=+ )?([0-9]+) passed", done.stdout, re.MULTILINE)
    assert passed, done.stdout
    assert int(passed[1]) > 25, done.stdout
