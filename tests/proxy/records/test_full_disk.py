"""Records when there is no room for them: on the disk, in the spool, in memory.

The disk is full by the kernel's own limit on the size of files, which cuts writes short as a full disk
does.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from proxy.database.schema import SchemaError
from proxy.records.backlog import Backlog
from proxy.records.record_writer import END
from proxy.records.request_log import RequestLog
from proxy.records.spool import AHEAD_BYTES, Spool, SpoolFile
from tests.support.records import record
from tests.support.wait import until

NOWHERE = "host=/nonexistent dbname=none"


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Writes beyond this size fail, or are cut short, for the whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        yield pool


def ids(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT id FROM llama_requests ORDER BY id").fetchall()
        return [row[0].hex for row in found]


def test_the_line_after_half_a_line_is_whole(directory: Path) -> None:
    """What a full disk took of a line is taken back."""
    spool = Spool(directory / "spool")
    spool.append(b"E\tone\n")
    filler = b"E\t" + b"x" * 2**20 + b"\n"
    with no_file_larger_than(2**20), pytest.raises(OSError, match="could be written"):
        spool.append(filler)
    spool.append(b"E\ttwo\n")
    spool.close()
    assert spool.current.path.read_bytes() == b"E\tone\nE\ttwo\n"


def test_the_room_that_a_killed_process_took_ahead_holds_no_line(directory: Path) -> None:
    """What follows its last line is read by nobody."""
    spool = Spool(directory / "spool")
    spool.append(b"E\tone\n")
    left = directory / "left.spool"
    left.write_bytes(spool.current.path.read_bytes())
    assert left.read_bytes() == b"E\tone\n" + bytes(AHEAD_BYTES - 6)
    file = SpoolFile(left, create=False)
    assert file.read(0, 100) == b"E\tone\n"
    assert file.read(6, 100) == file.read(6, 2**20) == b""
    file.close()
    spool.close()


async def test_while_the_disk_is_full_records_reach_the_database_from_memory(
    database_url: str, pool: AsyncConnectionPool, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those begun before and those begun meanwhile, each once; the log says so."""
    log = RequestLog(pool, Spool(directory / "spool"))
    before, meanwhile = record(), record()
    log.admitted(before)
    log._spool.append(b"\xff" * 2**20 + b"\n")
    with no_file_larger_than(2**20):
        log.admitted(meanwhile)
        log.ended(before)
        log.ended(meanwhile)
        assert len(log.writer.backlog) == 2
        log._warnings.check()
        await log._delivery.load_all()
    assert ids(database_url) == sorted([before.id, meanwhile.id])
    assert "wait in memory" in caplog.text
    assert not log.writer.backlog
    await log.close()
    assert ids(database_url) == sorted([before.id, meanwhile.id])


async def test_when_the_disk_has_room_again_memory_is_written_out(
    database_url: str, pool: AsyncConnectionPool, directory: Path
) -> None:
    """Without a database, and by itself; then a killed process loses nothing any more."""
    spool = Spool(directory / "spool")
    async with AsyncConnectionPool(NOWHERE, min_size=0, max_size=1) as nowhere:
        log = RequestLog(nowhere, spool)
        log._spool.append(b"\xff" * 2**20 + b"\n")
        records = [record() for _ in range(50)]
        with no_file_larger_than(2**20):
            for one in records:
                log.admitted(one)
                log.ended(one)
        assert len(log.writer.backlog) == 50
        log.writer.write_backlog()
        assert not log.writer.backlog
        spool.close()
    heir = RequestLog(pool, Spool(directory / "spool"))
    await heir._delivery.recover()
    assert ids(database_url) == sorted(one.id for one in records)
    await heir.close()


async def test_a_full_spool_says_so_and_loses_nothing(
    database_url: str, pool: AsyncConnectionPool, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not grow over its limit, with what a dead process left counted in; all is loaded later."""
    dead = Spool(directory / "spool")
    left = record()
    dead.append(left.line(END))
    dead.close()
    limit = 10_000
    spool = Spool(directory / "spool", limit_bytes=limit)
    log = RequestLog(pool, spool)
    records = [record() for _ in range(100)]
    for one in records:
        log.admitted(one)
        log.ended(one)
    assert limit - 500 < spool.used_bytes <= limit
    assert len(log.writer.backlog) > 50
    log._warnings.check()
    assert f"has its {limit} bytes" in caplog.text
    await log._delivery.recover()
    await log._delivery.load_all()
    assert sorted(ids(database_url)) == sorted([left.id, *(one.id for one in records)])
    await log._delivery.load_all()  # what was rotated out is removed
    assert spool.used_bytes < limit / 4
    await log.close()


async def test_a_spool_that_fills_up_is_told_of_before(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At four fifths, and once a minute."""
    async with AsyncConnectionPool(NOWHERE, min_size=0, max_size=1) as nowhere:
        log = RequestLog(nowhere, Spool(directory / "spool", limit_bytes=1000))
        log._spool.append(b"x" * 700 + b"\n")
        log._warnings.check()
        assert caplog.text == ""
        log._spool.append(b"x" * 150 + b"\n")
        log._warnings.check()
        log._warnings.check()
        log._spool.close()
    assert caplog.text.count("nearly full: 852 of 1000 bytes (LLAMA_PROXY_SPOOL_BYTES)") == 1


def test_beyond_the_memory_s_bound_sums_stay_right() -> None:
    """One row for a user, key and outcome: requests, bytes and tokens add up; nothing else is kept."""
    backlog = Backlog(limit_bytes=1000)
    now = time.time()
    for number in range(300):
        one = record(
            created_at=now + number,
            admitted_at=now + number,
            user_id=number % 2,
            username=f"user{number % 2}",
            prompt_tokens=number,
            completion_tokens=1,
            request_bytes=10,
            latency_ms=5.0,
        )
        backlog.add(one, one.line(END))
    whole = len(backlog) - 2
    assert 1 <= whole < 10
    lines = b""
    while backlog:
        lines += backlog.take(100, END)
    rows = [line.split(b"\t") for line in lines.splitlines()]
    sums = {row[3]: row for row in rows[whole:]}
    counts = [int(row[21]) for row in rows]
    assert sum(counts) == 300
    assert counts[:whole] == [1] * whole
    assert sum(int(row[15]) for row in rows) == sum(range(300))
    assert sum(int(row[16]) for row in rows) == 300
    assert sum(int(row[13]) for row in rows) == 3000
    assert sum(int(row[17]) for row in rows) == sum(range(300)) + 300
    # As late as the latest: a rate window must not forget it early.
    assert {row[2] for row in sums.values()} == {row[20] for row in sums.values()}
    late = {one.line(END).split(b"\t")[2] for one in [record(created_at=now + n) for n in (298, 299)]}
    assert {row[2] for row in sums.values()} == late


async def test_kill_9_loses_no_refusal_that_was_folded(
    database_url: str, pool: AsyncConnectionPool, directory: Path
) -> None:
    """Their count is in the spool as soon as the client can know, loaded in between or not."""
    spool = Spool(directory / "spool")
    log = RequestLog(pool, spool)
    now = float(int(time.time()))
    for number in range(25):
        log.ended(record(created_at=now, status_code=429, admitted=False, error="rate_limit_exceeded"))
        if number == 17:
            await log._delivery.load_all()
    spool.close()  # killed
    heir = RequestLog(pool, Spool(directory / "spool"))
    await heir._delivery.recover()
    await heir.close()
    with psycopg.connect(database_url) as connection:
        counts = connection.execute("SELECT count FROM llama_requests ORDER BY count").fetchall()
    assert counts == [(1,)] * 10 + [(15,)]


async def test_what_is_in_the_spool_is_given_to_the_disk(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file that was written since the last time, and the directory where there is a new one."""
    synced: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    spool = Spool(directory / "spool")
    spool.append(b"E\tone\n")
    first = spool.current.path
    spool.rotate([b"A\ttwo\n"])
    await spool.sync()
    assert sorted(synced) == sorted([first, spool.current.path, first.parent])
    synced.clear()
    await spool.sync()
    assert synced == []
    spool.append(b"E\tthree\n")
    await spool.sync()
    assert synced == [spool.current.path]
    spool.close()


async def test_an_interval_without_a_sync_is_at_most_the_setting(directory: Path) -> None:
    """The task syncs again and again, also what comes while it runs."""
    async with AsyncConnectionPool(NOWHERE, min_size=0, max_size=1) as nowhere:
        log = RequestLog(nowhere, Spool(directory / "spool"))
        task = asyncio.create_task(log.sync(0.01))
        for _ in range(2):
            log.ended(record())
            await until(lambda: not log._spool.current.unsynced, "the disk to have it")
        task.cancel()
        log._spool.close()


async def test_to_another_program_s_schema_nothing_is_loaded_and_nothing_lost(
    database_url: str, pool: AsyncConnectionPool, directory: Path
) -> None:
    """A column that this program does not fill: lines wait until one of the two is up to date."""
    log = RequestLog(pool, Spool(directory / "spool"))
    one = record()
    log.ended(one)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE llama_requests ADD COLUMN more text NOT NULL")
        connection.execute("INSERT INTO llama_schema (version, name) VALUES (9999, 'later')")
        with pytest.raises(SchemaError, match="version 9999, newer than"):
            await log._delivery.load_all()
        connection.execute("ALTER TABLE llama_requests DROP COLUMN more")
    await log._delivery.load_all()
    assert ids(database_url) == [one.id]
    await log.close()


async def test_a_full_disk_does_not_keep_records_from_the_database(
    database_url: str, pool: AsyncConnectionPool, directory: Path
) -> None:
    """No new file of the spool can be begun, and what waits in memory is loaded all the same."""
    log = RequestLog(pool, Spool(directory / "spool", limit_bytes=4_000))
    records = [record() for _ in range(20)]
    for one in records:
        log.admitted(one)
        log.ended(one)
    assert log.writer.backlog
    log.admitted(running := record())
    with no_file_larger_than(0):
        await log._delivery.load_all()
    assert sorted(ids(database_url)) == sorted(one.id for one in records)
    log.ended(running)
    await log.close()
    assert len(ids(database_url)) == 21


async def test_folded_refusals_keep_to_the_spool_s_limit(
    database_url: str, pool: AsyncConnectionPool, directory: Path
) -> None:
    """However many kinds of them there are; all are counted."""
    spool = Spool(directory / "spool", limit_bytes=20_000)
    log = RequestLog(pool, spool)
    for number in range(500):
        log.ended(record(created_at=float(number // 20), status_code=404, admitted=False))
    assert spool.used_bytes <= 20_000
    await log.close()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT sum(count) FROM llama_requests").fetchone() == (500,)


async def test_what_was_loaded_and_pruned_is_not_loaded_again(
    database_url: str, pool: AsyncConnectionPool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose lines are in the database is put away in time, so kill -9 leaves no old ones."""
    monkeypatch.setattr("proxy.records.spool.ROTATE_S", 0.0)
    spool = Spool(directory / "spool")
    log = RequestLog(pool, spool)
    one = record()
    log.ended(one)
    await log._delivery.load_all()
    await log._delivery.load_all()
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM llama_requests")
    spool.close()  # killed
    heir = RequestLog(pool, Spool(directory / "spool"))
    await heir._delivery.recover()
    await heir.close()
    assert ids(database_url) == []
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT sum(requests) FROM llama_usage").fetchone() == (1,)


async def test_a_load_that_broke_off_goes_on_where_it_was(
    database_url: str, pool: AsyncConnectionPool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long spool is not begun anew at every cut."""
    monkeypatch.setattr("proxy.records.loader.BATCH_BYTES", 1_000)
    log = RequestLog(pool, Spool(directory / "spool"))
    records = [record() for _ in range(30)]
    for one in records:
        log.admitted(one)
        log.ended(one)
    loaded: list[bytes] = []
    copy = log._delivery._loader._copy

    async def cut_at_the_fifth(lines: bytes, kind: str) -> None:
        if len(loaded) == 5:
            loaded.append(b"")
            raise psycopg.OperationalError("cut")
        loaded.append(lines)
        await copy(lines, kind)

    monkeypatch.setattr(log._delivery._loader, "_copy", cut_at_the_fifth)
    with pytest.raises(psycopg.OperationalError):
        await log._delivery.load_all()
    await log._delivery.load_all()
    assert len(set(loaded)) == len(loaded)
    assert ids(database_url) == sorted(one.id for one in records)
    await log.close()
