"""Files that are too much: the disk is full, a file has a million lines."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import psycopg
import pytest

from proxy.batches.validation import check_file
from proxy.files.directory import Directory
from proxy.settings import ProxySettings
from tests.proxy.files.test_files import files_in, form_of, upload
from tests.support.proxy import running_proxy
from tests.support.small_disk import small_disk


async def test_a_full_disk(
    settings: ProxySettings,
    create_user: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client is told, and nothing stays: neither where the disk has less than it is to keep, nor
    where it is full in the middle of a file."""
    key, place = create_user("alice"), tmp_path / "small"
    with small_disk(place):
        async with running_proxy(replace(settings, files_dir=place / "files")) as proxy:
            for size, looks_first in ((3 * 2**20, True), (3 * 2**20, False), (2**20 + 100, False)):
                if not looks_first:  # it fills up after that; by the last bytes, in the end
                    monkeypatch.setattr(Directory, "has_room", lambda *_: True)
                status, answer = await upload(proxy, key, form_of(BytesIO(b"x" * size)))
                assert (status, answer["error"]["code"]) == (503, "disk_full")
                assert files_in(proxy) == []
            assert (await upload(proxy, key, form_of(b"x" * 2**18)))[0] == 200
    with psycopg.connect(settings.database_url) as connection:
        assert connection.execute("SELECT count(*) FROM llama_files").fetchone() == (1,)


def test_a_million_lines(tmp_path: Path) -> None:
    """No more of a file is read than a batch may have lines, and the error says so."""
    file = tmp_path / "lines.jsonl"
    line = '{"custom_id":"%d","method":"POST","url":"/v1/embeddings","body":{}}\n'
    with file.open("w") as lines:
        lines.writelines(line % number for number in range(10**6))
    tracemalloc.start()
    try:
        _, problems = check_file(file, endpoint="/v1/embeddings", max_lines=50_000, max_line_bytes=2**20)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(one["code"], one["line"]) for one in problems] == [("too_many_lines", 50_001)]
    assert most_bytes < 40 * 2**20
