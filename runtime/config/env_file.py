"""Parses `.env` and `runtime/config.env`: a strict KEY=VALUE subset.

python-dotenv, docker compose and POSIX shells read this subset in the same way. `load_env` in
`runtime/shell/lib.sh` reads it too; one set of cases tests both. `keys.py` knows the keys.
"""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

PREFIXES = ("LLAMA_", "POSTGRES_AUTH_")
"""Prefixes of our keys: in a file, an unknown key with one of them is an error."""


class ConfigError(Exception):
    """One or more bad keys or values. `problems` has a line for each, ready to be shown."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def report(self) -> None:
        """Print a line for each problem on stderr."""
        for line in self.problems:
            print(f"error: {line}", file=sys.stderr)


_LINE = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?: '[^'\\]*' | "[^"\\$`]*" | [^\s'"\\$`#]* )
        (?:[ \t]+\#.*)?[ \t]*""",
    re.VERBOSE,
)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""All control characters except tab. python-dotenv treats a lone carriage return as the end of a
line."""


def parse_env(text: str, *, where: str) -> dict[str, str]:
    """Read KEY=VALUE lines. Returns our own keys and ignores others.

    A line is blank, a `# comment`, or `KEY=VALUE`. VALUE is bare (no blanks, quotes, `#`, `$`, `` ` ``
    or backslash), in single quotes (no single quote or backslash) or in double quotes (in addition no
    `$` and `` ` ``). ` # comment` may follow a value. The last of several lines for one key wins. A byte
    order mark at the beginning is ignored.

    Raises:
        ConfigError: lines have another form; each is named as `where:NUMBER`.
    """
    text = text.removeprefix("\ufeff")  # written by editors on Windows
    problems = []
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        stripped = line.strip(" \t")
        form = stripped.startswith("#") or _LINE.fullmatch(stripped)
        if stripped and (not form or _CONTROL.search(stripped)):
            # The line may contain a secret: name the key at most.
            name = re.match(r"[A-Za-z_][A-Za-z0-9_]*(?==)", stripped)
            problems.append(
                f"{where}:{number}: {name.group() if name else 'this line'} is not in the form "
                "KEY=VALUE (no blanks around '='; put a value with blanks, quotes, '#' or '$' in "
                "single quotes; no backslash, no 'export')"
            )
    if problems:
        raise ConfigError(problems)
    values = dotenv_values(stream=StringIO(text), interpolate=False)
    return {k: v or "" for k, v in values.items() if k.startswith(PREFIXES)}


def read_env_file(path: Path, *, where: str) -> dict[str, str]:
    """Our keys in a file; none if the file does not exist.

    Raises:
        ConfigError: the file cannot be read or parsed.
    """
    try:
        return parse_env(path.read_bytes().decode("utf-8"), where=where)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError([f"{where}: is not UTF-8 text (byte {error.start})"]) from error
    except OSError as error:
        raise ConfigError([f"{where}: cannot be read: {error.strerror}"]) from error
