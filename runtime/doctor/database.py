"""Checks that the database answers, has this program's schema, and has the right time."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.admin.appliance import DatabaseUnavailable, database_state
from runtime.doctor.findings import Finding, Installation, note, ok, problem, warning

_SKEW_S = 5.0


def state(checkout: Installation) -> Iterator[Finding]:
    """It answers, its schema is up to date and its clock is right."""
    config = checkout.known
    if not config.switch("LLAMA_PROXY_ENABLED"):
        yield ok("not used: LLAMA_PROXY_ENABLED=0")
        return
    if config.uses_embedded_postgres and not checkout.programs:
        made = config.embedded_url_file.exists()
        what = "is not running" if made else "is not set up yet"
        yield note(
            f"the embedded database {what}, so it was not examined", "./console.sh start starts it"
        )
        return
    try:
        found = database_state(config)
    except DatabaseUnavailable as error:
        text, _, remedy = str(error).rpartition(": ")
        yield problem(text, remedy)
        return
    kind = "embedded" if config.uses_embedded_postgres else "your own"
    yield ok(f"PostgreSQL {found.postgres_version} answers ({kind})")
    if found.schema_problem:
        text, _, remedy = found.schema_problem.rpartition(": ")
        yield problem(text, remedy)
    else:
        yield ok(f"its schema is up to date (version {found.schema_version})")
    if not found.notifications_arrive:
        yield warning(
            "its notifications do not arrive, as behind a connection pooler in transaction mode: "
            "changes of users and keys take up to 2 s, and all known keys are read every second",
            "give LLAMA_SERVER_DATABASE_URL a direct connection, or a pooler in session mode",
        )
    if found.clock_skew_s > _SKEW_S:
        yield warning(
            f"its clock and this machine's differ by {found.clock_skew_s:.0f} s",
            "set both with NTP: keys expire by one clock, rate windows use the other",
        )
    else:
        yield ok("its clock agrees with this machine's")
