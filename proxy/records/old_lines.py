"""Lines of spool files that an earlier release left, in today's form.

A file outlives its process if that was killed, so an update may find lines without the column
`tokens_charged`. It stands after `completion_tokens`.
"""

from __future__ import annotations

from proxy.records.record import COLUMNS, estimated_tokens

_FIELDS = 1 + len(COLUMNS.split(", "))
"""The kind of the line and the columns."""
_TTFT, _REQUEST_BYTES, _RESPONSE_BYTES, _PROMPT, _COMPLETION, _STREAM = 11, 13, 14, 15, 16, 17
_NULL = b"\\N"


def in_todays_form(lines: bytes) -> bytes:
    """The same lines; those with one column less get what they were charged with."""
    return b"".join([_upgraded(line) for line in lines.splitlines(keepends=True)])


def _upgraded(line: bytes) -> bytes:
    fields = line.split(b"\t")
    if len(fields) != _FIELDS - 1:
        return line
    try:
        charged = _charged(fields)
    except ValueError:  # not a record: the database says so too
        return line
    return b"\t".join([*fields[:_STREAM], b"%d" % charged, *fields[_STREAM:]])


def _charged(fields: list[bytes]) -> int:
    told = [int(value) for value in (fields[_PROMPT], fields[_COMPLETION]) if value != _NULL]
    if told:
        return sum(told)
    if fields[_STREAM] in (b"True", b"t") and fields[_TTFT] != _NULL:
        return estimated_tokens(int(fields[_REQUEST_BYTES]), int(fields[_RESPONSE_BYTES]))
    return 0
