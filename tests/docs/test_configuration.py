"""docs/configuration.md says what runtime/config/keys.py does."""

from __future__ import annotations

import re

from runtime.config import KEYS, ROOT
from tests.docs.configuration_table import AREAS, PAGE, area_of, with_tables
from tests.docs.markdown import documents


def test_the_tables_are_those_of_the_keys() -> None:
    """Every key stands in its table with its default and its meaning.

    `python -m tests.docs.configuration_table` writes them anew.
    """
    page = PAGE.read_text()
    assert page == with_tables(page)


def test_every_key_has_a_row() -> None:
    """The page has a marked table for each area that has keys."""
    page = PAGE.read_text()
    assert {area for area in AREAS if f"<!-- table: {area} -->" in page} >= set(map(area_of, KEYS))
    rows = re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted(KEYS)
    assert not re.findall(r"^\| `[A-Z_]+` \|.*\| *\|$", page, re.MULTILINE), "a key has no meaning"


def test_the_documents_name_no_key_that_is_none() -> None:
    """A setting that a document names is one that the code knows."""
    unknown = {}
    for document in documents():
        names = set(re.findall(r"\b(?:LLAMA|POSTGRES_AUTH)_[A-Z_]*[A-Z]\b", document.read_text()))
        if strangers := sorted(names - set(KEYS)):
            unknown[str(document.relative_to(ROOT))] = strangers
    assert not unknown
