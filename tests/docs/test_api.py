"""docs/api.md, docs/users.md and the README name everything that a user of the API can meet."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from proxy.admin import arguments
from runtime.config import ROOT
from runtime.engine.api.schemas import ChatRequest, CompletionRequest

API = (ROOT / "docs" / "api.md").read_text()
USERS = (ROOT / "docs" / "users.md").read_text()
README = (ROOT / "README.md").read_text()
FIELDS = sorted({*ChatRequest.model_fields, *CompletionRequest.model_fields})


def test_every_code_of_an_error_is_described() -> None:
    """An error's code that the proxy or the engine may send stands in the table of errors."""
    files = [
        *(ROOT / "proxy").rglob("errors.py"),
        *(ROOT / "runtime" / "engine").rglob("*.py"),
    ]
    source = "".join(file.read_text() for file in files)
    codes = set(re.findall(r'\bcode(?:: [\w| ]+)?(?:=| = )"([a-z_]+)"', source))
    assert {"rate_limit_exceeded", "context_length_exceeded"} <= codes
    assert {code for code in codes if f"`{code}`" not in API} == set()


def test_every_forwarded_path_is_described() -> None:
    """A path that the proxy forwards stands in the table of paths."""
    source = (ROOT / "proxy" / "upstream" / "routes.py").read_text()
    paths = set(re.findall(r'"(/[a-z0-9_/]+)": (?:Route|_[A-Z]+)', source))
    assert {"/v1/models", "/v1/chat/completions", "/extras/tokenize"} <= paths
    assert {path for path in paths if f"`{path}`" not in API} == set()


@pytest.mark.parametrize("field", FIELDS)
def test_every_parameter_is_described(field: str) -> None:
    """A field of a request that the engine knows stands in the table of parameters."""
    assert re.search(rf"^\|.*`{field}(\.\w+)?`.* \|", API, re.MULTILINE)


def test_every_command_is_in_the_readme() -> None:
    """The README's table has each command of the console."""
    commands = {path.stem for path in (ROOT / "runtime" / "commands").glob("*.sh")}
    assert {name for name in commands if f"| `./console.sh {name}" not in README} == set()


def test_every_command_for_users_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/users.md names each command of the user command, and no other."""
    with pytest.raises(SystemExit, match="0"):
        arguments.parse(["--help"], now=datetime.now(UTC))
    commands = set(
        re.findall(r"^    ([a-z]+(?:-[a-z]+)*)(?: |$)", capsys.readouterr().out, re.MULTILINE)
    )
    assert {"create-user", "audit"} <= commands
    described = set(re.findall(r"user_management_cli\.sh ([a-z][a-z-]+)|`([a-z]+-[a-z]+) --", USERS))
    named = {name for pair in described for name in pair if name}
    assert named == commands
