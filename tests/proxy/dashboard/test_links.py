"""One-time links work once and for a while."""

from __future__ import annotations

import os
from pathlib import Path

from proxy.dashboard.access.links import LIFE_S, MAX_LINKS, make_link, use_link


def test_a_link_works_once(tmp_path: Path) -> None:
    """The first use succeeds, the second and a made-up one do not; no file has the token."""
    token = make_link(tmp_path)
    assert all(token not in file.name and not file.stat().st_size for file in tmp_path.rglob("*/*"))
    assert use_link(tmp_path, token)
    assert not use_link(tmp_path, token)
    assert not use_link(tmp_path, "../../etc/passwd")


def test_a_link_expires(tmp_path: Path) -> None:
    """After 15 minutes a link is worth nothing, and it is gone."""
    token = make_link(tmp_path)
    (file,) = (tmp_path / "dashboard-links").iterdir()
    old = file.stat().st_mtime - LIFE_S - 2
    os.utime(file, (old, old))
    assert not use_link(tmp_path, token)
    assert not file.exists()


def test_links_are_bounded(tmp_path: Path) -> None:
    """However many links are made, no more than MAX_LINKS are left, the newest among them."""
    tokens = [make_link(tmp_path) for _ in range(MAX_LINKS + 5)]
    assert len(list((tmp_path / "dashboard-links").iterdir())) == MAX_LINKS
    assert use_link(tmp_path, tokens[-1])
