"""Links between the documents lead somewhere, and the README stays short."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from runtime.config import ROOT
from tests.docs.markdown import anchors, documents, links

DOCUMENTS = documents()
PAGES = sorted(path for path in DOCUMENTS if path.parent == ROOT / "docs")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    """A relative link names a file of the checkout and, after `#`, one of its headings."""
    broken = []
    for link in links(document):
        target, _, fragment = link.partition("#")
        if target.startswith(("http://", "https://")):
            continue
        file = (document.parent / target).resolve() if target else document
        if not file.exists() or (fragment and fragment not in anchors(file)):
            broken.append(link)
    assert not broken


PATH = re.compile(r"`((?:\.ci|bin|docs|models|proxy|runtime|tests)/[\w./*-]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_in_code_exists(document: Path) -> None:
    """A path of the checkout that a document names is there, or is one that git ignores."""
    paths = set(PATH.findall(document.read_text()))
    missing = {path for path in paths if "NAME" not in path and not list(ROOT.glob(path.rstrip("/")))}
    assert {path for path in missing if not is_ignored(path)} == set()


def is_ignored(path: str) -> bool:
    """Whether git ignores a file or a directory of this name."""
    command = ["git", "check-ignore", path, path.rstrip("/") + "/"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_check_of_links_sees_a_broken_one(tmp_path: Path) -> None:
    """A link in text or in an image counts, one in code does not."""
    page = tmp_path / "page.md"
    page.write_text("# A page, of `code`\n[a](b.md#c) ![d](e.svg) `[f](g.md)`\n```\n[h](i.md)\n```\n")
    assert links(page) == ["b.md#c", "e.svg"]
    assert anchors(page) == {"a-page-of-code"}


def test_the_readme_fits_a_few_screens() -> None:
    """README.md has at most 150 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_page_is_reached_from_the_readme() -> None:
    """The README links each page of docs/."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert len(PAGES) >= 7
    assert set(PAGES) <= linked
