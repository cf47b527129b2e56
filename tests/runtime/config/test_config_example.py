"""runtime/config.env.example and the meanings agree with the table of keys."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from runtime.config import KEYS, ROOT
from runtime.config.env_file import parse_env
from runtime.config.meanings import MEANINGS

EXAMPLE = ROOT / "runtime" / "config.env.example"
SETTING = re.compile(r"#([A-Z][A-Z0-9_]*=.*)")


def settings() -> dict[str, str]:
    lines = [SETTING.fullmatch(line) for line in EXAMPLE.read_text().splitlines()]
    text = "\n".join(line.group(1) for line in lines if line)
    return parse_env(text, where="config.env.example")


def test_every_key_is_documented_with_its_default() -> None:
    """Each key is in the example, commented out, with its default."""
    assert settings() == {name: key.default for name, key in KEYS.items()}


def test_every_key_stands_there_once() -> None:
    """No key is documented twice."""
    names = re.findall(r"^#([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(KEYS)


def test_it_sets_nothing_as_it_is() -> None:
    """An unchanged copy of the example is a valid configuration file that changes nothing."""
    assert parse_env(EXAMPLE.read_text(), where="config.env.example") == {}


def test_every_key_has_a_description() -> None:
    """There is a comment above each group of keys."""
    previous = ""
    for line in EXAMPLE.read_text().splitlines():
        if SETTING.fullmatch(line):
            assert SETTING.fullmatch(previous) or re.match(r"# \S", previous), line
        previous = line


def test_every_key_has_a_meaning() -> None:
    """One sentence of one line, and no line for a key that does not exist. Units of numbers are
    named."""
    assert MEANINGS.keys() == KEYS.keys()
    for key in KEYS.values():
        assert re.fullmatch(r"[A-Z0-9][^\n]{10,85}\.", key.meaning), key.name
        for unit in ("SECONDS", "BYTES", "DAYS"):
            if unit in key.name:
                assert unit.lower() in key.meaning.lower(), key.name


def test_the_table_has_every_key() -> None:
    """`python -m runtime.config table` prints a Markdown row with key, default and meaning for each."""
    command = [sys.executable, "-m", "runtime.config", "table"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    heading, rule, *rows = done.stdout.splitlines()
    assert (heading, rule) == ("| Key | Default | Meaning |", "| --- | --- | --- |")
    assert len(rows) == len(KEYS)
    assert f"| `LLAMA_PROXY_PORT` | `8001` | {KEYS['LLAMA_PROXY_PORT'].meaning} |" in rows
    assert all(row.count(" | ") == 2 for row in rows)


def highest(name: str) -> str:
    """The upper bound of a key, taken from its message for a bad value."""
    with pytest.raises(ValueError, match="must be") as refused:
        KEYS[name].parse("-99999999999")
    bounds = re.search(r"from \S+ to (\S+)", str(refused.value))
    assert bounds
    return bounds.group(1).replace(str(2**53), "2^53")


NUMBERS = [name for name in KEYS if re.search(r"_(N_\w+|LIMIT|SECONDS|BYTES|CONCURRENT|SIZE\w*)$", name)]


@pytest.mark.parametrize("name", NUMBERS)
def test_the_range_of_a_number_is_told(name: str) -> None:
    """The comment above a number contains the upper bound that the code enforces."""
    comments = EXAMPLE.read_text().partition(f"#{name}=")[0].rpartition("\n\n")[2]
    assert re.search(rf"\b{re.escape(highest(name))}\b", comments)
