"""The tables of docs/configuration.md, made from the table of keys in runtime/config/keys.py.

    python -m tests.docs.configuration_table    # writes them into the page

A test holds the page to the keys.
"""

from __future__ import annotations

import re
import sys

from runtime.config import KEYS, ROOT, Key

PAGE = ROOT / "docs" / "configuration.md"
AREAS = {
    "model server": ("LLAMA_SERVER_",),
    "proxy": ("LLAMA_PROXY_", "LLAMA_REQUESTS_"),
    "dashboard": ("LLAMA_DASHBOARD_",),
    "files": ("LLAMA_",),
    "PostgreSQL": ("POSTGRES_AUTH_",),
}
"""Name of a table, and how the names of its keys begin. A key belongs to the first area that fits."""


def area_of(name: str) -> str:
    """The table that has this key."""
    return next(area for area, prefixes in AREAS.items() if name.startswith(prefixes))


def table(area: str, page: str) -> str:
    """The Markdown table of one area's keys; a key without a meaning keeps what the page has."""
    rows = [
        f"| `{key.name}` | {f'`{key.default}`' if key.default else 'not set'} "
        f"| {_meaning(key) or _meaning_on(page, key.name)} |"
        for key in KEYS.values()
        if area_of(key.name) == area
    ]
    return "\n".join(["| key | default | meaning |", "|---|---|---|", *rows])


def _meaning(key: Key) -> str:
    return key.meaning.replace("|", "\\|")


def _meaning_on(page: str, name: str) -> str:
    found = re.search(rf"^\| `{name}` \| [^|]* \| (.*) \|$", page, re.MULTILINE)
    return found.group(1) if found else ""


def with_tables(page: str) -> str:
    """The page with each marked table made anew.

    A table stands between `<!-- table: AREA -->` and `<!-- end of table -->`.
    """
    return re.sub(
        r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end of table -->)",
        lambda found: f"{found[1]}{table(found[2], page)}\n{found[3]}",
        page,
        flags=re.DOTALL,
    )


def main() -> int:
    """Write the tables into the page."""
    PAGE.write_text(with_tables(PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
