"""Records: to the spool at once, to the database once and only once."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

from proxy.edge.write_batching import WriteBatcher
from proxy.records.record_writer import RecordWriter
from proxy.records.request_log import RequestLog
from proxy.records.spool import REJECTED, Spool, SpoolFile, SpoolFullError
from tests.support.records import record
from tests.support.wait import until


def rows(url: str, columns: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT {columns} FROM llama_requests ORDER BY id").fetchall()  # noqa: S608


async def load(url: str, log_of: Spool, *, recover: bool = False) -> None:
    async with AsyncConnectionPool(url, min_size=1, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, log_of)
        if recover:
            await log._delivery.recover()
        await log.close()


async def test_odd_text_arrives_as_it_was(database_url: str, directory: Path) -> None:
    """Tabs, backslashes and line ends in a path cannot break out of their column; NUL goes."""
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, Spool(directory / "spool"))
        odd = record(path="/a\tb\\N\n\\.\r\0é\udcff", error="\\N", status_code=200)
        log.admitted(odd)
        log.ended(odd)
        await log.close()
    assert rows(database_url, "path, error, status_code") == [("/a\tb\\N\n\\.\ré?", "\\N", 200)]


async def test_an_end_that_never_came_becomes_a_row_that_says_so(
    database_url: str, directory: Path
) -> None:
    """The next process loads what a killed one left: ends as they are, admissions as interrupted."""
    dead = Spool(directory / "spool")
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, dead)
        ended, running = record(), record()
        log.admitted(ended)
        log.admitted(running)
        dead.rotate([line for _, line in log.writer._open.values()])
        ended.status_code = 200
        log.ended(ended)
        dead.append(b"E\ttorn line without an end")
        dead.close()
        await load(database_url, Spool(directory / "spool"), recover=True)
    assert rows(database_url, "id, status_code, error, admitted") == sorted(
        [(UUID(ended.id), 200, None, True), (UUID(running.id), None, "interrupted", True)],
        key=lambda row: row[0],
    )
    assert list((directory / "spool").iterdir()) == []


async def test_a_living_process_s_spool_is_left_alone(database_url: str, directory: Path) -> None:
    """Two proxies share a directory; neither takes the other's records."""
    living = Spool(directory / "spool")
    living.append(record().line("A"))
    await load(database_url, Spool(directory / "spool"), recover=True)
    assert rows(database_url, "id") == []
    assert living.current.path.exists()
    living.close()


async def test_loading_twice_makes_no_second_row(database_url: str, directory: Path) -> None:
    """A process that died between COMMIT and the note of it loads the same lines again."""
    line = record(status_code=200).line("E")
    for _ in range(2):
        spool = Spool(directory / "spool")
        spool.append(line)
        spool.close()
        await load(database_url, Spool(directory / "spool"), recover=True)
    assert len(rows(database_url, "id")) == 1


async def test_a_line_that_cannot_be_loaded_does_not_hold_up_the_others(
    database_url: str, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is put aside, loudly, and stays there whole."""
    spool = Spool(directory / "spool")
    good = record(status_code=200)
    bad = [b"E\tnonsense\n", record().line("E").replace(b"alice", b"\\N"), b"\xff\n"]
    spool.append(bad[0] + bad[1] + good.line("E") + bad[2])
    await load(database_url, spool)
    assert rows(database_url, "id") == [(UUID(good.id),)]
    assert "3 request records cannot be loaded and are kept in" in caplog.text
    (left,) = (directory / "spool").iterdir()
    assert left.read_bytes() == b"".join(bad)
    assert left.stat().st_mode & 0o777 == 0o600


async def test_refusals_of_requests_that_came_at_different_times_are_folded(
    database_url: str, directory: Path
) -> None:
    """What counts is when they are refused: bodies that break off later do not begin a new second."""
    now = int(time.time()) + 0.5
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, Spool(directory / "spool"))
        for number in range(200):
            took_s = number % 20
            came_at = now - took_s
            log.ended(
                record(admitted=False, status_code=400, created_at=came_at, latency_ms=took_s * 1000)
            )
            log.writer.close_refusals(now)
        await log.close()
    counts = [count for (count,) in rows(database_url, "count")]
    assert sorted(counts) == [1] * 10 + [190]  # type: ignore[type-var]


async def test_recovery_goes_on_if_a_bad_line_cannot_be_put_aside(
    database_url: str, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Here `rejected.lines` is a directory; the good lines are loaded, the log tells of the lost one."""
    dead = Spool(directory / "spool")
    good = record(status_code=200)
    dead.append(b"E\tnonsense\n" + good.line("E"))
    dead.close()
    (directory / "spool" / REJECTED).mkdir()
    await load(database_url, Spool(directory / "spool"), recover=True)
    assert rows(database_url, "id") == [(UUID(good.id),)]
    assert "1 request records cannot be loaded" in caplog.text
    assert "are lost" in caplog.text
    assert [path.name for path in (directory / "spool").iterdir()] == [REJECTED]


def test_the_file_of_rejected_lines_is_bounded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line for which there is no room is not written, and raises."""
    monkeypatch.setattr("proxy.records.spool.REJECTED_LIMIT_BYTES", 20)
    spool = Spool(directory / "spool")
    spool.reject(b"E\t0123456789\n")
    with pytest.raises(SpoolFullError, match="has reached 20 bytes"):
        spool.reject(b"E\t0123456789\n")
    assert (directory / "spool" / REJECTED).read_bytes() == b"E\t0123456789\n"
    spool.close()


async def test_a_failing_sync_leaks_no_descriptor_and_is_repeated(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory cannot be opened for a while: as many descriptors as before, all is synced later."""
    spool = Spool(directory / "spool")
    spool.append(b"E\tone\n")
    (directory / "spool").rename(directory / "away")
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="No such file"):
            await spool.sync()
    assert len(os.listdir("/dev/fd")) == before
    (directory / "away").rename(directory / "spool")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    await spool.sync()
    assert len(synced) == 2
    spool.close()


async def test_a_file_that_cannot_be_opened_does_not_hold_up_the_others(
    database_url: str, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one of another owner (here: a directory); it stays, and the log tells of it."""
    dead = Spool(directory / "spool")
    line = record(status_code=200)
    dead.append(line.line("E"))
    dead.close()
    (directory / "spool" / f"{'f' * 32}.spool").mkdir()
    await load(database_url, Spool(directory / "spool"), recover=True)
    assert rows(database_url, "id") == [(UUID(line.id),)]
    assert "passed over" in caplog.text


async def test_the_spool_is_private(directory: Path) -> None:
    """User names and paths are nobody else's business."""
    spool = Spool(directory / "a" / "spool")
    assert (directory / "a" / "spool").stat().st_mode & 0o777 == 0o700
    assert spool.current.path.stat().st_mode & 0o777 == 0o600
    spool.close()


def test_what_a_turn_notes_is_one_write(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Admissions and ends in their order; nothing is written before it is asked for."""
    spool = Spool(directory / "spool")
    written: list[bytes] = []
    monkeypatch.setattr(spool, "append", written.append)
    pool = AsyncConnectionPool("", open=False)
    log = RequestLog(pool, spool)
    log.writer.write_at_end_of_turn(lambda: None)
    one, two = record(), record()
    log.admitted(one)
    log.admitted(two)
    log.ended(one)
    assert written == []
    log.writer.write_out()
    log.writer.write_out()
    (lines,) = written
    kinds = [(line.split(b"\t")[0], line.split(b"\t")[1].decode()) for line in lines.splitlines()]
    assert kinds == [(b"A", one.id), (b"A", two.id), (b"E", one.id)]
    spool.close()


async def test_history_counts_what_was_admitted_within_the_window(
    database_url: str, directory: Path
) -> None:
    """Refusals, other users and older requests do not count; ages come oldest first."""
    now = time.time()
    async with AsyncConnectionPool(database_url, kwargs={"autocommit": True}) as pool:
        log = RequestLog(pool, Spool(directory / "spool"))
        ages: list[tuple[int, dict[str, object]]] = [
            (50, {}),
            (10, {}),
            (5, {"admitted": False}),
            (5, {"username": "bob", "user_id": 2}),
            (70, {}),
        ]
        for age, fields in ages:
            log.ended(record(created_at=now - age, status_code=200, **fields))
        await log._delivery.load_all()
        log.recovered.set()
        history = await log.history("requests", username="alice", user_id=1, window_s=60)
        await log.close()
    assert [(round(age, -1), count) for age, count in history] == [(50, 1), (10, 1)]


def test_a_full_disk_at_a_new_file_changes_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file in use stays in use, and the new one is gone: no line is looked for in the wrong one."""
    spool = Spool(directory / "spool")
    spool.append(b"E\tone\n")
    before = spool.current

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(SpoolFile, "append", full)
        with pytest.raises(OSError, match="No space"):
            spool.rotate([b"A\tstill open\n"])
    assert spool.current is before
    assert spool.pending == []
    assert list((directory / "spool").iterdir()) == [before.path]
    spool.close()


@pytest.mark.parametrize("charged", [False, True])
async def test_lines_of_an_earlier_release_are_loaded(
    database_url: str, directory: Path, *, charged: bool
) -> None:
    """The first lacks `tokens_charged`, which becomes what it charged; both lack what came later."""
    with_usage = record(prompt_tokens=7, completion_tokens=3)
    stream = record(stream=True, ttft_ms=1.0, request_bytes=400, response_bytes=600)
    running = record()
    spool = Spool(directory / "spool")
    for line in (
        with_usage.line("E"),
        stream.line("E"),
        running.admission_line("A"),
        b"E\t" * 22 + b"\n",
    ):
        fields = line.split(b"\t")[:23]
        spool.append(b"\t".join(fields if charged else [*fields[:17], *fields[18:]]).rstrip() + b"\n")
    spool.close()
    await load(database_url, Spool(directory / "spool"), recover=True)
    expected = {UUID(with_usage.id): 10, UUID(stream.id): 103, UUID(running.id): 0}
    assert dict(rows(database_url, "id, tokens_charged")) == expected  # type: ignore[arg-type]


def test_what_was_charged_is_what_the_row_says() -> None:
    """The first count stays, even if more of the response is sent afterwards."""
    stream = record(stream=True, ttft_ms=1.0, request_bytes=400, response_bytes=600)
    assert stream.count_tokens() == 103
    stream.response_bytes = 6000
    assert stream.line("E").split(b"\t")[17] == b"103"


async def test_a_record_is_in_the_spool_before_bytes_of_its_turn_are_sent(directory: Path) -> None:
    """Even if the bytes were there first; and without a batcher the record is written at once."""
    spool = Spool(directory / "spool")
    writer = RecordWriter(spool)
    at_once = record()
    writer.ended(at_once)
    assert at_once.id.encode() in spool.current.read(0, 10_000)
    batcher, later, sent = WriteBatcher(writer), record(), []

    class Peer:
        def send_out(self) -> None:
            """Note what the spool holds by now."""
            sent.append(spool.current.read(0, 10_000))

    batcher.add(Peer())
    writer.ended(later)
    assert later.id.encode() not in spool.current.read(0, 10_000)
    await until(lambda: sent, "the turn to end")
    assert later.id.encode() in sent[0]
    spool.close()
