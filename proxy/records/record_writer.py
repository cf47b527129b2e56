"""Writes records to the spool: a line at a request's admission, another at its end.

Owns the records that are not written yet, the requests under way, folded refusals, and the backlog of
records that the spool cannot take. It never blocks: no await, no database.

A record must be written before anything of its turn of the event loop is sent to the engine or to a
client. Alone, the writer writes each record at once. `edge/write_batching.py` sends the bytes of a turn:
it takes a writer in its constructor, and calls `write_out` before it sends.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.records.backlog import Backlog
from proxy.records.folded_refusals import Refusals
from proxy.records.loader import BATCH_BYTES
from proxy.records.record import RequestRecord
from proxy.records.spool import Spool

ADMISSION, END, SHARED = "A", "E", "S"
"""Kinds of lines. SHARED is a row of refusals whose count grows; its END follows within a second."""


class RecordWriter:
    """Collects records and writes them in order."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._on_note: Callable[[], None] = self.write_out
        self._noted: list[tuple[str, RequestRecord]] = []
        """Kind and record of what has not been written yet, in order."""
        self._open: dict[str, tuple[RequestRecord, bytes]] = {}
        """Admissions without an end, and their lines."""
        self._refusals = Refusals()
        self.backlog = Backlog()
        self.disk_error: OSError | None = None
        """The last error of the spool."""

    def write_at_end_of_turn(self, schedule: Callable[[], None]) -> None:
        """Let the caller write. `schedule` is called for each record.

        The caller must call `write_out` in the same turn of the event loop, before it sends any bytes.
        """
        self._on_note = schedule

    def admitted(self, record: RequestRecord) -> None:
        """Note an admission. Once it is written, a row is certain."""
        self._noted.append((ADMISSION, record))
        self._on_note()

    def ended(self, record: RequestRecord) -> None:
        """Note the end of a request."""
        self._noted.append((END, record))
        self._on_note()

    def under_way(self) -> list[RequestRecord]:
        """The requests that have been admitted and have not ended."""
        return [record for record, _ in self._open.values()]

    def write_out(self) -> None:
        """Write what has been noted, with one write to the spool where possible."""
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        lines: list[tuple[RequestRecord | None, bytes]] = []
        for kind, record in noted:
            if kind == ADMISSION:
                line = record.admission_line(ADMISSION)
                self._open[record.id] = record, line
                lines.append((None, line))
            # An admission in the spool must have an end there too.
            elif self._open.pop(record.id, None) is not None or self._refusals.takes_own_row(record):
                lines.append((record, record.line(END)))
            else:
                self._append(lines)
                lines.clear()
                self._fold(record)
        self._append(lines)

    def close_refusals(self, now: float) -> None:
        """Write the folded refusals of the seconds that are over at the Unix time `now`."""
        self.write_out()
        self._append([(record, record.line(END)) for record in self._refusals.take_folded(now)])

    def write_backlog(self) -> None:
        """Write the backlog to the spool, as far as there is room."""
        while self.backlog:
            lines = self.backlog.take(BATCH_BYTES, END)
            try:
                self._spool.append(lines)
            except OSError as error:
                self.disk_error = error
                self.backlog.put_back(lines)
                return

    def rotate(self) -> None:
        """Begin a new file of the spool, if the disk has room."""
        # Their lines are in the old file, which will be removed.
        self.close_refusals(float("inf"))
        try:
            self._spool.rotate([line for _, line in self._open.values()])
        except OSError as error:
            self.disk_error = error  # the file in use stays in use

    def _append(self, lines: list[tuple[RequestRecord | None, bytes]]) -> None:
        """Write lines, ends with their records. Ends that the spool does not take join the backlog."""
        if not lines:
            return
        try:
            self._spool.append(b"".join([line for _, line in lines]))
        except OSError as error:
            self.disk_error = error
            if len(lines) > 1:  # it may have room for some of them
                for one in lines:
                    self._append([one])
            elif lines[0][0] is not None:
                self.backlog.add(lines[0][0], lines[0][1])

    def _fold(self, record: RequestRecord) -> None:
        try:
            self._refusals.fold(record, self._spool, SHARED)
        except OSError as error:
            self.disk_error = error
