"""Contents of files, as pieces of a response: from the disk, or made of a batch's results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from psycopg_pool import AsyncConnectionPool

from proxy.files.directory import Directory
from proxy.files.table import TIMEOUT_S

PIECE_BYTES = 2**18
ROWS = 200
"""Results read at a time."""

# The results of one kind, in the order of the input. They may be many megabytes each, so that a page
# ends after the first one that makes it larger than PIECE_BYTES.
_RESULTS = """
    WITH page AS (
        SELECT i.line, i.result, sum(octet_length(i.result)) OVER (ORDER BY i.line) AS bytes
        FROM (SELECT line, result FROM llama_batch_items
              WHERE batch_id = %(batch_id)s AND line > %(after)s AND failed = %(failed)s
              ORDER BY line LIMIT %(rows)s) i
    )
    SELECT line, result FROM page WHERE bytes - octet_length(result) < %(bytes)s ORDER BY line
"""
_BATCH_OF = """
    SELECT id, error_file_id = %(id)s FROM llama_batches
    WHERE user_id = %(user_id)s AND %(id)s IN (output_file_id, error_file_id)
"""


async def of_upload(directory: Directory, file_id: str) -> AsyncIterator[bytes]:
    """The content of an uploaded file.

    Raises:
        OSError: it is not there.
    """
    file = await asyncio.to_thread(directory.path_of(file_id).open, "rb")
    with file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield piece


async def of_results(pool: AsyncConnectionPool, user_id: int, file_id: str) -> AsyncIterator[bytes]:
    """The lines of a file with results, as far as there are any yet.

    Raises:
        one of DATABASE_ERRORS.
    """
    async with pool.connection(timeout=TIMEOUT_S) as connection:
        cursor = await connection.execute(_BATCH_OF, {"id": file_id, "user_id": user_id})
        batch = await cursor.fetchone()
    after = 0
    while batch is not None:
        values = {
            "batch_id": batch[0], "failed": batch[1], "after": after, "rows": ROWS, "bytes": PIECE_BYTES,
        }  # fmt: skip
        async with pool.connection(timeout=TIMEOUT_S) as connection:
            rows = await (await connection.execute(_RESULTS, values)).fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield "".join(f"{result}\n" for _, result in rows).encode()
