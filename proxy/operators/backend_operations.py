"""The operations on engines: taking one out of use for maintenance, and using it again."""

from __future__ import annotations

from psycopg import Connection

from proxy.operators import errors
from proxy.operators.operation import Call, Field, Operation

BACKENDS = "/admin/v1/backends"


def _url(value: str) -> str:
    if not 1 <= len(value) <= 512:
        raise ValueError("must be an engine's URL as LLAMA_SERVER_BACKENDS has it")
    return value.rstrip("/")


def _set_drained(connection: Connection, call: Call) -> object:
    url, drained = call.values["url"], call.values["drained"]
    known = [backend.url for backend in call.config.backends]
    if url not in known:
        names = ", ".join(known) or "none, since LLAMA_SERVER_BACKENDS is not set"
        raise errors.not_found(f"there is no engine {url[:80]}; there are: {names}")
    connection.execute(
        "INSERT INTO llama_backends (url, drained_at) VALUES (%s, CASE WHEN %s THEN now() END)"
        " ON CONFLICT (url) DO UPDATE SET drained_at ="
        " CASE WHEN excluded.drained_at IS NULL THEN NULL"
        " ELSE coalesce(llama_backends.drained_at, excluded.drained_at) END",
        [url, drained],
    )
    connection.execute(
        "INSERT INTO llama_audit (action, username, new) VALUES (%s, NULL,"
        " jsonb_build_object('backend', %s::text))",
        ["drain backend" if drained else "undrain backend", url],
    )
    return {"url": url, "drained": drained}


OPERATIONS = (
    Operation(method="POST", path=BACKENDS, run=_set_drained,
              fields=(Field(name="url", parse=_url, required=True,
                            help="The engine, as LLAMA_SERVER_BACKENDS has it."),
                      Field(name="drained", parse=str, schema={"type": "boolean"}, required=True,
                            help="true: no new requests, those that run go on; false: use it again.")),
              summary="Drain an engine for maintenance, or use it again, at every proxy, in a second."),
)  # fmt: skip
