"""The form of `.env` and `runtime/config.env`: a strict KEY=VALUE subset.

It holds what python-dotenv, docker compose and POSIX shells read alike. `load_env` in
`runtime/shell/lib.sh` reads the same subset, and one set of cases tests both. Which keys there are and
what they may be is for `keys.py`.
"""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values

PREFIXES = ("LLAMA_", "POSTGRES_AUTH_")
"""Keys with these prefixes are ours: an unknown one in a file is an error."""


class ConfigError(Exception):
    """One or more bad keys or values. `problems` has a line for each, fit to be shown as it is."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_LINE = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)=
        (?: '[^'\\]*' | "[^"\\$`]*" | [^\s'"\\$`#]* )
        (?:[ \t]+\#.*)?[ \t]*""",
    re.VERBOSE,
)

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Control characters but the tab. python-dotenv takes a lone carriage return for a line's end."""


def parse_env(text: str, *, where: str) -> dict[str, str]:
    """Read KEY=VALUE lines; of our own keys only, others are passed over.

    A line is blank, a `# comment`, or `KEY=VALUE`, with VALUE bare (no blanks, quotes, `#`, `$`, `` ` ``
    or backslash), in single quotes (anything but a single quote and a backslash) or in double quotes
    (nor `$`, `` ` ``). ` # comment` may follow a value. The last of several lines for a key wins.

    Raises:
        ConfigError: a line is of another form; each is named as `where:NUMBER`.
    """
    text = text.removeprefix("\ufeff")  # the byte order mark that editors on Windows write
    problems = []
    for number, line in enumerate(re.split(r"\r?\n", text), 1):
        stripped = line.strip(" \t")
        form = stripped.startswith("#") or _LINE.fullmatch(stripped)
        if stripped and (not form or _CONTROL.search(stripped)):
            # The line itself may hold a secret: name the key at most.
            name = re.match(r"[A-Za-z_][A-Za-z0-9_]*(?==)", stripped)
            problems.append(
                f"{where}:{number}: {name.group() if name else 'this line'} is not of the form "
                "KEY=VALUE (no blanks round '='; put a value with blanks, quotes, '#' or '$' in "
                "single quotes; no backslash, no 'export')"
            )
    if problems:
        raise ConfigError(problems)
    values = dotenv_values(stream=StringIO(text), interpolate=False)
    return {k: v or "" for k, v in values.items() if k.startswith(PREFIXES)}


def read_env_file(path: Path, *, where: str) -> dict[str, str]:
    """What a file has of our keys; nothing where there is no file.

    Raises:
        ConfigError: it cannot be read, or not understood.
    """
    try:
        return parse_env(path.read_bytes().decode("utf-8"), where=where)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError([f"{where}: is not UTF-8 text (byte {error.start})"]) from error
    except OSError as error:
        raise ConfigError([f"{where}: cannot be read: {error.strerror}"]) from error
