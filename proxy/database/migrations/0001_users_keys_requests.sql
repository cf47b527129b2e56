-- Users, their keys, and a row for every authenticated request.

CREATE TABLE llama_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL UNIQUE,
    is_active boolean NOT NULL DEFAULT true,
    -- NULL: the proxy's defaults (LLAMA_PROXY_RATE_LIMIT, LLAMA_PROXY_RATE_WINDOW_SECONDS).
    rate_limit bigint CHECK (rate_limit > 0),
    rate_window_seconds double precision CHECK (rate_window_seconds > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE llama_api_keys (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES llama_users (id) ON DELETE CASCADE,
    public_id text NOT NULL UNIQUE,
    -- A passlib hash of the whole key; the key itself is nowhere.
    hash text NOT NULL,
    label text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

CREATE INDEX llama_api_keys_user_id ON llama_api_keys (user_id);

-- No foreign keys: rows outlive the user and the key that they name.
CREATE TABLE llama_requests (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    username text NOT NULL,
    user_id bigint NOT NULL,
    key_id bigint,
    method text NOT NULL,
    path text NOT NULL,
    model text,
    -- What the client saw; 499 when it left first; NULL when the proxy was killed before the end.
    status_code smallint,
    latency_ms double precision,
    ttft_ms double precision,
    queue_ms double precision,
    request_bytes bigint NOT NULL DEFAULT 0,
    response_bytes bigint NOT NULL DEFAULT 0,
    prompt_tokens bigint,
    completion_tokens bigint,
    stream boolean NOT NULL DEFAULT false,
    -- Took a place in the user's rate window.
    admitted boolean NOT NULL,
    -- Refusals of one kind folded into this row; 1 for every other row.
    count bigint NOT NULL DEFAULT 1,
    error text
);

CREATE INDEX llama_requests_username_created_at ON llama_requests (username, created_at);
CREATE INDEX llama_requests_created_at ON llama_requests (created_at);

-- Tells every proxy at once that a user or one of the user's keys changed: the payload is the user's id.
CREATE FUNCTION llama_notify_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record := COALESCE(NEW, OLD);
BEGIN
    IF TG_TABLE_NAME = 'llama_users' THEN
        PERFORM pg_notify('llama_user_changed', changed.id::text);
    ELSE
        PERFORM pg_notify('llama_user_changed', changed.user_id::text);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_users_changed
    AFTER UPDATE OR DELETE ON llama_users
    FOR EACH ROW EXECUTE FUNCTION llama_notify_user_changed();

-- Not on last_used_at: the proxy itself writes that.
CREATE TRIGGER llama_api_keys_changed
    AFTER INSERT OR DELETE OR UPDATE OF hash, expires_at, revoked_at ON llama_api_keys
    FOR EACH ROW EXECUTE FUNCTION llama_notify_user_changed();
