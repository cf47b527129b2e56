"""The Markdown files of the checkout: their links, headings and blocks of code."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.config import ROOT

_FENCE = re.compile(r"```(\w*)\s*")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
_HEADING = re.compile(r"#{1,6} +(.+)")
TESTED = "<!-- tested -->"
"""The line before a block of code that `test_commands.py` runs as it stands."""


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    file: Path
    line: int
    """Number of its first line of code."""
    language: str
    code: str
    is_tested: bool

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every Markdown file that git has or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return sorted(path for name in names.split("\0") if name and (path := ROOT / name).is_file())


def blocks(file: Path) -> Iterator[Block]:
    """The file's fenced blocks, in order."""
    language: str | None = None
    code: list[str] = []
    first = 0
    is_tested = False
    previous = ""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if fence and language is None:
            language, code, first, is_tested = fence.group(1), [], number + 1, previous == TESTED
        elif fence and language is not None:
            yield Block(file, first, language, "\n".join(code), is_tested)
            language = None
        elif language is not None:
            code.append(line)
        previous = line


def prose(file: Path) -> str:
    """The file's text without its blocks of code and inline code."""
    text = re.sub(r"^```.*?^```$", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def links(file: Path) -> list[str]:
    """Targets of all links and images."""
    return [next(filter(None, found.groups())) for found in _LINK.finditer(prose(file))]


def anchors(file: Path) -> set[str]:
    """The fragments that GitHub makes of the file's headings."""
    text = re.sub(r"^```.*?^```$", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = [found.group(1) for line in text.splitlines() if (found := _HEADING.fullmatch(line))]
    return {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    """Lower case, punctuation dropped, a hyphen for each blank."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
