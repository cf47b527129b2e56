-- Users' files, and batches: many requests in one file, answered when nobody else waits.

ALTER TABLE llama_users
    -- Lines that a user may submit in any 24 hours. NULL: any number.
    ADD COLUMN batch_limit bigint CHECK (batch_limit > 0);

-- The batch that a request is a line of. Such a request counts in no window, but its tokens in budgets.
ALTER TABLE llama_requests ADD COLUMN batch_id text;

CREATE TABLE llama_files (
    id text PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES llama_users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    filename text NOT NULL,
    -- batch: uploaded, its content is on disk. batch_output: made of the results of a batch.
    purpose text NOT NULL CHECK (purpose IN ('batch', 'batch_output')),
    bytes bigint NOT NULL DEFAULT 0
);

CREATE INDEX llama_files_user_id ON llama_files (user_id, created_at);
CREATE INDEX llama_files_expires_at ON llama_files (expires_at);

CREATE TABLE llama_batches (
    id text PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES llama_users (id) ON DELETE CASCADE,
    -- The key that created it; no reference, since it goes on when the key is replaced.
    key_id bigint NOT NULL,
    endpoint text NOT NULL,
    completion_window text NOT NULL,
    metadata jsonb,
    input_file_id text NOT NULL,
    output_file_id text,
    error_file_id text,
    status text NOT NULL DEFAULT 'validating' CHECK (status IN (
        'validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled')),
    -- Why it failed: a list of {code, message, line, param}.
    errors jsonb,
    -- Why it makes no progress at present.
    waiting text,
    total int NOT NULL DEFAULT 0,
    completed int NOT NULL DEFAULT 0,
    failed int NOT NULL DEFAULT 0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The deadline.
    expires_at timestamptz NOT NULL,
    in_progress_at timestamptz,
    finalizing_at timestamptz,
    completed_at timestamptz,
    failed_at timestamptz,
    expired_at timestamptz,
    cancelling_at timestamptz,
    cancelled_at timestamptz,
    -- The proxy that works on it, for as long as the lease lasts.
    runner uuid,
    leased_until timestamptz
);

CREATE INDEX llama_batches_user_id ON llama_batches (user_id, created_at);
CREATE INDEX llama_batches_unfinished ON llama_batches (user_id, created_at)
    WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');

-- A line of a batch's input file. It gets its result once.
CREATE TABLE llama_batch_items (
    batch_id text NOT NULL REFERENCES llama_batches (id) ON DELETE CASCADE,
    line int NOT NULL,
    custom_id text NOT NULL,
    -- Where the line is in the input file, in bytes.
    place bigint NOT NULL,
    length int NOT NULL,
    failed boolean,
    -- The line of the output file, or of the error file if it failed.
    result text,
    PRIMARY KEY (batch_id, line)
);

CREATE INDEX llama_batch_items_open ON llama_batch_items (batch_id, line) WHERE result IS NULL;

-- As in 0007: the requests that count in windows, which lines of batches do not.
CREATE OR REPLACE FUNCTION llama_window_history(
    p_user_id bigint, p_username text, p_kind text, p_since timestamptz, p_now timestamptz,
    p_until timestamptz, p_without uuid[]
) RETURNS TABLE (at timestamptz, count bigint) LANGUAGE sql STABLE AS $$
    WITH found AS (
        SELECT CASE p_kind
                   WHEN 'requests' THEN coalesce(r.admitted_at, r.created_at)
                   ELSE r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms'
               END AS at,
               CASE p_kind WHEN 'requests' THEN r.count ELSE r.tokens_charged END AS count
        FROM llama_requests_of(p_user_id, p_username, p_since - CASE p_kind
            WHEN 'requests' THEN interval '1 minute' ELSE interval '1 day' END) r
        WHERE r.batch_id IS NULL AND r.id <> ALL (p_without)
    ), counted AS (
        SELECT least(f.at, p_now) AS at, f.count, count(*) OVER () AS n FROM found f
        WHERE f.at > p_since AND f.count > 0 AND NOT (f.at > p_now AND f.at <= p_until)
    )
    SELECT max(c.at), sum(c.count)::bigint FROM counted c
    GROUP BY CASE WHEN c.n <= 4096 THEN extract(epoch FROM c.at)
                  ELSE floor(extract(epoch FROM c.at - p_since)
                             / extract(epoch FROM p_now - p_since) * 4096) END
    ORDER BY 1
$$;
