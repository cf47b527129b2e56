"""Only known commands are run, with arguments of a known form."""

from __future__ import annotations

import pytest

from proxy.dashboard.console import commands
from proxy.dashboard.data.errors import DashboardError


@pytest.mark.parametrize(
    ("repository", "file", "arguments"),
    [
        ("smollm2", "", ("pull", "smollm2")),
        ("Qwen/Qwen2.5-0.5B-Instruct-GGUF", "", ("pull", "Qwen/Qwen2.5-0.5B-Instruct-GGUF")),
        ("a/b", "Q4_K_M", ("pull", "a/b", "Q4_K_M")),
        ("a/b", "folder/model-00001-of-00002.gguf", ("pull", "a/b", "folder/model-00001-of-00002.gguf")),
    ],
)
def test_pull_takes_names(repository: str, file: str, arguments: tuple[str, ...]) -> None:
    """As the command line takes them."""
    assert commands.pull(repository, file).arguments == arguments


@pytest.mark.parametrize(
    ("repository", "file"),
    [
        ("", ""),
        ("a", ""),
        ("--help", ""),
        ("-x/b", ""),
        ("a/../b", ""),
        ("a/b;reboot", ""),
        ("a/b\n", ""),
        ("http://a/b", ""),
        ("a/" + "b" * 97, ""),
        ("smollm2", "Q4_K_M"),
        ("a/b", "--force"),
        ("a/b", "../../etc/passwd"),
        ("a/b", "/etc/passwd"),
        ("a/b", "x" * 201),
        ("a/b", "$(reboot)"),
        ("a/ü", ""),
    ],
)
def test_pull_takes_nothing_else(repository: str, file: str) -> None:
    """Options, paths and what a shell would read are refused."""
    with pytest.raises(DashboardError):
        commands.pull(repository, file)


def test_use_takes_models_that_are_listed() -> None:
    """Whatever they are called, but for what looks like an option."""
    assert commands.use("my model.gguf", ["my model.gguf"]).arguments == ("use", "my model.gguf")
    for name in ("other.gguf", "--force", "/etc/passwd"):
        with pytest.raises(DashboardError):
            commands.use(name, ["my model.gguf", "--force"])
