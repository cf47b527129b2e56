"""Rows of `llama_requests` as a busy machine makes them: made in the database, by SQL, in order of time.

50 users, of whom the k-th sends about 1/k of what the first sends; a year that ends now, busier by day;
latencies that are log-normal round 3 s; some that were refused, left by their client or interrupted.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import Connection

USERS = 50
DAYS = 365
STEP = 500_000
"""Rows of one transaction."""

_MAKE_USERS: LiteralString = """
    INSERT INTO llama_users (username) SELECT 'user' || n FROM generate_series(1, %s) n;
"""

MAKE: LiteralString = """
    WITH drawn AS (
        SELECT n, random() AS kind,
               least(floor(exp(random() * ln(%(users)s + 1)))::int, %(users)s) AS who,
               now() - %(days)s * interval '1 day' * (1 - (n - random()) / %(rows)s) AS evenly
        FROM generate_series(%(first)s::bigint, %(last)s) n
    ), placed AS (
        -- About twenty times as many at noon as at midnight.
        SELECT d.*, least(now(), d.evenly + 0.9 / (2 * pi()) * interval '1 day'
                                 * sin(2 * pi() / 86400 * extract(epoch FROM d.evenly)::float8)) AS at
        FROM drawn d
    ), timed AS (
        SELECT p.*, exp(random_normal(8, 0.9)) AS took, p.kind < 0.95 AS admitted,
               p.kind < 0.94 AS answered
        FROM placed p ORDER BY p.n
    )
    INSERT INTO llama_requests
        (id, created_at, username, user_id, key_id, method, path, model, status_code, latency_ms,
         ttft_ms, queue_ms, request_bytes, response_bytes, prompt_tokens, completion_tokens, stream,
         admitted, admitted_at, count, error)
    SELECT uuidv7(t.at - clock_timestamp()), t.at, 'user' || t.who, u.id, u.id, 'POST',
           '/v1/chat/completions',
           CASE WHEN t.admitted THEN 'qwen2.5-0.5b-instruct-q4_k_m.gguf' END,
           CASE WHEN t.kind < 0.92 THEN 200 WHEN t.answered THEN 499 WHEN t.admitted THEN NULL
                WHEN t.kind < 0.98 THEN 429 ELSE 503 END,
           CASE WHEN t.answered THEN t.took WHEN NOT t.admitted THEN random() END,
           CASE WHEN t.answered THEN t.took / 10 END, CASE WHEN t.answered THEN t.took / 20 END,
           200 + floor(exp(random_normal(6, 1))), CASE WHEN t.answered THEN t.took * 2 ELSE 150 END,
           CASE WHEN t.answered THEN 20 + floor(exp(random_normal(5, 1))) END,
           CASE WHEN t.answered THEN ceil(t.took / 20) END,
           t.answered AND t.kind > 0.3, t.admitted, CASE WHEN t.admitted THEN t.at END,
           CASE WHEN t.admitted THEN 1 ELSE 1 + floor(random() * 3) END,
           CASE WHEN t.admitted AND NOT t.answered THEN 'interrupted' END
    FROM timed t JOIN llama_users u ON u.username = 'user' || t.who
"""


def make_rows(connection: Connection, rows: int) -> None:
    """Make the users, and so many rows of theirs."""
    connection.execute(_MAKE_USERS, [USERS])
    for first in range(1, rows + 1, STEP):
        last = min(first + STEP - 1, rows)
        connection.execute(
            MAKE, {"users": USERS, "days": DAYS, "rows": rows, "first": first, "last": last}
        )
    connection.execute("VACUUM (ANALYZE) llama_requests")
    connection.execute("VACUUM (ANALYZE) llama_usage")
