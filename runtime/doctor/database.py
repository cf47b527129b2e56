"""The database: whether it answers, has the schema that this program knows, and tells the same time."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.admin.appliance import DatabaseUnavailable, database_state
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
        found = database_state(config)
    except DatabaseUnavailable as error:
        said, _, remedy = str(error).rpartition(": ")
        yield problem(said, remedy)
        return
    kind = "embedded" if config.uses_embedded_postgres else "your own"
    yield ok(f"PostgreSQL {found.postgres_version} answers ({kind})")
    if found.schema_problem:
        said, _, remedy = found.schema_problem.rpartition(": ")
        yield problem(said, remedy)
    else:
        yield ok(f"its schema is up to date (version {found.schema_version})")
    if found.clock_skew_s > _SKEW_S:
        yield warning(
            f"its clock and this machine's differ by {found.clock_skew_s:.0f} s",
            "let both be set by NTP: keys expire by the one, windows go by the other",
        )
    else:
        yield ok("its clock agrees with this machine's")
