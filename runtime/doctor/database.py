"""The database: reached, with the schema that this program knows, and of the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg

from proxy.admin import database
from proxy.database import schema
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning

_SKEW_S = 5.0


def state(there: Installation) -> Iterator[Finding]:
    """It answers, and is up to date."""
    config = there.known
    if not config.switch("LLAMA_PROXY_ENABLED"):
        yield ok("not used: LLAMA_PROXY_ENABLED=0")
        return
    if config.uses_embedded_postgres and not there.programs:
        made = config.embedded_url_file.exists()
        what = "does not run" if made else "is not set up yet"
        yield note(
            f"the embedded database {what}, so it was not looked at", "./console.sh start starts it"
        )
        return
    try:
        with database.connect(config) as connection:
            kind = "embedded" if config.uses_embedded_postgres else "your own"
            yield ok(f"PostgreSQL {connection.info.server_version // 10_000} answers ({kind})")
            yield from _contents(connection)
    except database.DatabaseUnavailable as error:
        said, _, remedy = str(error).rpartition(": ")
        yield problem(said, remedy)


def _contents(connection: psycopg.Connection) -> Iterator[Finding]:
    try:
        schema.check_schema(connection)
        yield ok(f"its schema is up to date (version {len(schema.known_migrations())})")
    except schema.SchemaError as error:
        said, _, remedy = str(error).rpartition(": ")
        yield problem(said, remedy)
    before = time.time()
    row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    assert row is not None
    skew = max(before - row[0], row[0] - time.time())
    if skew > _SKEW_S:
        yield warning(
            f"its clock and this machine's differ by {skew:.0f} s",
            "let both be set by NTP: keys expire by the one, windows go by the other",
        )
    else:
        yield ok("its clock agrees with this machine's")
