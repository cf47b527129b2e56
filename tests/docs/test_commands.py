"""Commands in the documents work when they are pasted.

Every block of shell code is read by bash, every command of ours in it exists with its options, and the
blocks that are marked as tested run, in the order of the page, against a real appliance.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from proxy.admin import arguments
from runtime.config import ROOT
from tests.docs.markdown import Block, blocks, documents
from tests.support.appliance import Appliance

BLOCKS = [block for document in documents() for block in blocks(document)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
TESTED = [block for block in BLOCKS if block.is_tested]
ORDER = ("README.md", "docs/")
"""Tested blocks run in this order of their files; the README's make what the others use."""


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance with the starter model, as a new user has it, in a path with a space."""
    with Appliance(model=False) as appliance:
        appliance.start()
        yield appliance


def simple_commands(code: str) -> Iterator[list[str]]:
    """The words of each command, as far as a shell's syntax is not needed to tell them apart."""
    joined = re.sub(r"\\\n", " ", code)
    for line in joined.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an argument of several lines
            words = line.split()
        command: list[str] = []
        for word in words:
            if word in {"|", "&&", "||", ";", ">", "<"}:
                yield command
                command = []
            else:
                command.append(word)
        yield command


def is_command(name: str) -> bool:
    folders = (ROOT / "runtime/commands", ROOT / "runtime/commands/upkeep")
    return any((folder / f"{name}.sh").exists() for folder in folders)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_bash_reads_every_block(block: Block) -> None:
    """No block of shell code has an error of syntax."""
    done = subprocess.run(["bash", "-n", "-c", block.code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_console_command_exists(block: Block) -> None:
    """What follows ./console.sh is the name of a command."""
    for words in simple_commands(block.code):
        for before, name in pairwise(words):
            if before.endswith("console.sh"):
                assert is_command(name), words


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_the_user_command_takes_its_options(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows bin/user_management_cli.sh is a call that it understands."""
    for words in simple_commands(block.code):
        if words and words[0].endswith("user_management_cli.sh"):
            line = words[5:] if words[1:2] == ["--url"] else words[1:]
            arguments.parse(line, now=datetime.now(UTC))


def test_console_commands_in_tables_exist() -> None:
    """A command of the console that is named in running text or a table exists too."""
    named = {
        name
        for document in documents()
        for name in re.findall(r"`\./console\.sh ([a-z-]+)", document.read_text())
    }
    assert named
    assert {name for name in named if not is_command(name)} == set()


@pytest.mark.timeout(400)  # more than a hundred commands one after the other
def test_tested_blocks_work(appliance: Appliance) -> None:
    """Each block that is marked runs as it stands and succeeds; ports are the test's own."""
    environment = appliance.environment | {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
    assert {block.file.name for block in TESTED} >= {"README.md", "api.md", "operations.md"}
    for block in sorted(TESTED, key=in_order):
        done = run(block, appliance, environment)
        assert done.returncode == 0, f"{block}: {done.stdout}\n{done.stderr}"
        environment |= exports(done.stdout)


def in_order(block: Block) -> tuple[int, str, int]:
    """A key for sorting: the README first, then page by page."""
    name = str(block.file.relative_to(ROOT))
    return next(number for number, start in enumerate(ORDER) if name.startswith(start)), name, block.line


SHELL_FUNCTIONS = """
curl() { command curl --fail-with-body --silent --show-error "$@"; }
trap 'printf "\\nUSER_KEY=%s\\n" "${USER_KEY:-}"' EXIT
"""
"""curl fails on an error's status here, and a key that a block makes reaches the next one."""


def run(
    block: Block, appliance: Appliance, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run one block in the checkout."""
    code = block.code.replace("127.0.0.1:8001", appliance.proxy_url.removeprefix("http://"))
    code = code.replace("127.0.0.1:8000", appliance.server_url.removeprefix("http://"))
    if block.language == "python":
        command = [sys.executable, "-c", code]
    else:
        command = ["bash", "-euo", "pipefail", "-c", SHELL_FUNCTIONS + code]
    return subprocess.run(
        command,
        cwd=appliance.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def exports(output: str) -> dict[str, str]:
    """The user's key, which later blocks expect in their environment as a user's shell has it."""
    return dict(re.findall(r"^(USER_KEY)=(\S+)$", output, re.MULTILINE)[-1:])
