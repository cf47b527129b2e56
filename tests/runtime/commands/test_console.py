"""console.sh: its commands, its help, and its messages for wrong arguments."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runtime.config import ROOT

COMMANDS = sorted(path.stem for path in (ROOT / "runtime/commands").rglob("*.sh"))


def console(
    *arguments: str, program: Path = ROOT / "console.sh", cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *arguments],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_all_commands_are_there() -> None:
    """There is a file for each command that the README lists."""
    promised = (
        "backends backup bench build-wheel chat cluster dashboard doctor help logs models pull restart"
        " restore run service start status stop test uninstall upgrade use"
    )
    assert promised.split() == COMMANDS


def test_help_lists_every_command_with_its_summary() -> None:
    """`help` shows the summary from the header of each command's file."""
    done = console("help")
    assert done.returncode == 0
    for command in COMMANDS:
        (line,) = [row for row in done.stdout.splitlines() if row.split()[:1] == [command]]
        assert len(line.split()) > 3


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_its_header(command: str) -> None:
    """Summary and usage, without comment signs and code."""
    done = console("help", command)
    assert done.returncode == 0
    assert f"Usage: ./console.sh {command}" in done.stdout
    assert "set -euo" not in done.stdout
    assert not done.stdout.startswith("#")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_usual_options_for_help_work(option: str) -> None:
    """They are the same as `help`."""
    assert console(option).stdout == console("help").stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "test"])
def test_a_command_s_own_help_option_works(command: str) -> None:
    """`start --help` prints the same as `help start`. Only `test` passes the option on, to pytest."""
    assert console(command, "--help").stdout == console("help", command).stdout


@pytest.mark.parametrize("command", ["nonsense", "../lib", "start.sh", "START", "-x", "st art"])
def test_an_unknown_command_is_refused_with_the_usage(command: str) -> None:
    """The message names it; the usage follows on stderr; exit status 2."""
    done = console(command)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"unknown command: {command}" in done.stderr
    assert "usage: ./console.sh COMMAND" in done.stderr


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("strat", "start"),
        ("up", "start"),
        ("update", "upgrade"),
        ("ls", "models"),
        ("create-user", "./bin/user_management_cli.sh"),
    ],
)
def test_an_unknown_command_has_a_proposal(command: str, meant: str) -> None:
    """Commands that begin alike, and other words for the same thing."""
    assert meant in console(command).stderr.partition("did you mean ")[2].splitlines()[0]


def test_another_shell_goes_on_with_bash() -> None:
    """`sh console.sh` works where sh is no bash."""
    done = subprocess.run(
        ["sh", ROOT / "console.sh", "help", "stop"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: ./console.sh stop" in done.stdout


def test_no_command_is_refused_with_the_usage() -> None:
    """The usage is printed on stderr; exit status 2."""
    done = console()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ./console.sh COMMAND")


@pytest.mark.parametrize(
    "arguments",
    [
        ["start", "--modle", "x"],
        ["start", "--model"],
        ["start", "extra"],
        ["start", "--model", ""],
        ["stop", "now"],
        ["restart", "everything"],
        ["restart", "server", "proxy"],
        ["restart", "proxy", "--model", "x"],
        ["restart", "--model"],
        ["status", "--yaml"],
        ["doctor", "--yaml"],
        ["chat", "--key-file"],
        ["chat", "hello"],
        ["logs", "-n"],
        ["logs", "nginx"],
        ["backup"],
        ["backup", "--all"],
        ["restore"],
        ["restore", "a", "b"],
        ["service", "start"],
        ["uninstall", "everything"],
        ["upgrade", "now"],
        ["build-wheel", "--fast"],
        ["build-wheel", "a", "b"],
        ["help", "nonsense"],
        ["help", "start", "stop"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_refused_with_the_commands_usage(arguments: list[str]) -> None:
    """The reason and the usage of that command, exit status 2; nothing is started or stopped."""
    done = console(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert f"usage: ./console.sh {arguments[0]}" in done.stderr


def test_it_works_from_anywhere_and_through_links(directory: Path) -> None:
    """It works from another directory, and through relative and absolute symbolic links."""
    first, second = directory / "first link", directory / "second"
    first.symlink_to(ROOT / "console.sh")
    second.symlink_to(first.name)
    relative = Path(os.path.relpath(second, directory.parent))
    for program in (ROOT / "console.sh", first, second, relative):
        assert console("help", program=program, cwd=directory.parent).returncode == 0


def test_every_script_has_its_header() -> None:
    """`# Summary:` stands in the second line; a comment for the linter may precede it."""
    scripts = [ROOT / "console.sh", *ROOT.glob("runtime/**/*.sh"), *ROOT.glob("bin/*.sh")]
    for script in scripts:
        if ".venv" in script.parts:
            continue
        lines = script.read_text().splitlines()
        assert lines[0] == "#!/usr/bin/env bash", script
        assert any(line.startswith("# Summary: ") for line in lines[1:3]), script
