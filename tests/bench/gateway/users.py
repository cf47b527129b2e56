"""Users in a database, many at a time, which one by one would take minutes."""

from __future__ import annotations

from psycopg import Connection

from proxy.identity.keys import create_key

LIMIT = 10**9
"""Requests a minute, of each user: more than can be sent."""


def make_users(connection: Connection, *, users: int, keys: int) -> list[str]:
    """Make so many users with one key each, and return the keys of the first `keys` of them.

    The others' keys are like theirs, but their hashes are copies: hashing is what takes long, and
    nobody will ever send these.
    """
    real = [create_key() for _ in range(keys)]
    with connection.transaction():
        connection.execute(
            "INSERT INTO llama_users (username, rate_limit)"
            " SELECT 'bench-' || n, %s FROM generate_series(1, %s) AS n",
            [LIMIT, users],
        )
        connection.execute(
            "INSERT INTO llama_api_keys (user_id, public_id, hash)"
            " SELECT u.id, coalesce(r.public_id, lpad(u.n, 12, '0')), coalesce(r.hash, %s)"
            " FROM (SELECT id, split_part(username, '-', 2) AS n FROM llama_users) u"
            " LEFT JOIN unnest(%s::text[], %s::text[]) WITH ORDINALITY AS r (public_id, hash, n)"
            " ON r.n = u.n::bigint",
            [real[0].hash, [key.public_id for key in real], [key.hash for key in real]],
        )
    connection.execute("ANALYZE llama_users, llama_api_keys")
    return [key.key for key in real]
