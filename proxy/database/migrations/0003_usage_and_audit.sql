-- Usage summed up by day, so that totals need not read every record and stay when old records go
-- (LLAMA_REQUESTS_RETENTION_DAYS); and an account of who changed which user or key.

-- The records of a user on a day (UTC). Those that were admitted and have a latency are apart by its
-- class: percentiles come from these. -1: refusals, and what has no latency.
CREATE TABLE llama_usage (
    day date NOT NULL,
    username text NOT NULL,
    latency_class smallint NOT NULL,
    requests numeric NOT NULL,
    refusals numeric NOT NULL,
    prompt_tokens numeric NOT NULL,
    completion_tokens numeric NOT NULL,
    request_bytes numeric NOT NULL,
    response_bytes numeric NOT NULL,
    -- Of all these requests together.
    latency_ms double precision NOT NULL,
    PRIMARY KEY (day, username, latency_class)
);

-- What one record adds. A class is 5 % wide; a row that stands for several requests counts as so many of
-- its latency.
CREATE FUNCTION llama_usage_of(r llama_requests) RETURNS SETOF llama_usage LANGUAGE sql IMMUTABLE AS $$
    SELECT (r.created_at AT TIME ZONE 'UTC')::date, r.username,
           CASE WHEN r.admitted AND r.latency_ms IS NOT NULL
               THEN floor(ln(least(greatest(r.latency_ms, 1), 1e9)) / ln(1.05::float8)) ELSE -1 END::smallint,
           CASE WHEN r.admitted THEN r.count ELSE 0 END::numeric,
           CASE WHEN r.admitted THEN 0 ELSE r.count END::numeric,
           coalesce(r.prompt_tokens, 0)::numeric, coalesce(r.completion_tokens, 0)::numeric,
           r.request_bytes::numeric, r.response_bytes::numeric,
           CASE WHEN r.admitted THEN coalesce(least(greatest(r.latency_ms, 0), 1e9), 0) * r.count ELSE 0 END
$$;

CREATE FUNCTION llama_sum_usage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- From here on this transaction holds rows that every other loader needs. Where its client's machine
    -- is gone, they are not to wait for as long as TCP does.
    PERFORM set_config('idle_in_transaction_session_timeout', '30s', true);
    INSERT INTO llama_usage AS there
    SELECT u.day, u.username, u.latency_class, sum(u.requests), sum(u.refusals), sum(u.prompt_tokens),
           sum(u.completion_tokens), sum(u.request_bytes), sum(u.response_bytes), sum(u.latency_ms)
    FROM added r CROSS JOIN LATERAL llama_usage_of(r) u GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3 -- the same way round for all: no deadlocks
    ON CONFLICT (day, username, latency_class) DO UPDATE SET
        requests = there.requests + excluded.requests,
        refusals = there.refusals + excluded.refusals,
        prompt_tokens = there.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = there.completion_tokens + excluded.completion_tokens,
        request_bytes = there.request_bytes + excluded.request_bytes,
        response_bytes = there.response_bytes + excluded.response_bytes,
        latency_ms = there.latency_ms + excluded.latency_ms;
    RETURN NULL;
END
$$;

-- Before the sums of what is there: from the trigger's lock on, nothing is missed and nothing counted twice.
CREATE TRIGGER llama_requests_usage
    AFTER INSERT ON llama_requests REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION llama_sum_usage();

INSERT INTO llama_usage
SELECT u.day, u.username, u.latency_class, sum(u.requests), sum(u.refusals), sum(u.prompt_tokens),
       sum(u.completion_tokens), sum(u.request_bytes), sum(u.response_bytes), sum(u.latency_ms)
FROM llama_requests r CROSS JOIN LATERAL llama_usage_of(r) u GROUP BY 1, 2, 3;

-- What happened to users and keys, by whatever program. Never a hash. No foreign keys: rows outlive the
-- user and the key that they name.
CREATE TABLE llama_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    action text NOT NULL,
    username text,
    user_id bigint,
    public_id text,
    -- The columns that changed: as they were, and as they are.
    old jsonb NOT NULL DEFAULT '{}',
    new jsonb NOT NULL DEFAULT '{}',
    -- Who logged in to the database, and what the program called itself: anyone may claim a name.
    database_role text NOT NULL DEFAULT session_user,
    application text NOT NULL DEFAULT current_setting('application_name'),
    client_address inet DEFAULT inet_client_addr()
);

-- What is told of a row: not what names it anyway, and not what the proxy itself writes. A hash is told
-- to be another, not what it is.
CREATE FUNCTION llama_audited(row_ jsonb, other jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(jsonb_object_agg(c.key, CASE c.key WHEN 'hash' THEN '"not shown"' ELSE c.value END), '{}')
    FROM jsonb_each(row_) c
    WHERE c.value IS DISTINCT FROM coalesce(other, '{}') -> c.key AND c.key <> 'last_used_at'
      AND NOT (other IS NULL AND (c.key IN ('id', 'username', 'user_id', 'public_id', 'hash', 'created_at')
                                  OR c.value IN ('null', '""')))
$$;

CREATE FUNCTION llama_audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    old_ jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    named jsonb := coalesce(new_, old_);
    user_id_ bigint := coalesce(named ->> 'user_id', named ->> 'id')::bigint;
    username_ text := named ->> 'username';
BEGIN
    IF TG_TABLE_NAME = 'llama_api_keys' THEN
        SELECT u.username INTO username_ FROM llama_users u WHERE u.id = user_id_;
        IF username_ IS NULL THEN -- deleted a moment ago, with all keys
            SELECT a.username INTO username_ FROM llama_audit a
            WHERE a.user_id = user_id_ AND a.action = 'delete user' ORDER BY a.id DESC LIMIT 1;
        END IF;
    END IF;
    IF TG_OP <> 'UPDATE' OR old_ - 'last_used_at' <> new_ - 'last_used_at' THEN
        INSERT INTO llama_audit (action, username, user_id, public_id, old, new)
        VALUES (CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'change' ELSE 'delete' END
                || CASE TG_TABLE_NAME WHEN 'llama_users' THEN ' user' ELSE ' key' END,
                username_, user_id_, named ->> 'public_id', llama_audited(old_, new_), llama_audited(new_, old_));
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE FUNCTION llama_audit_truncate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO llama_audit (action) VALUES ('truncate ' || TG_TABLE_NAME);
    RETURN NULL;
END
$$;

-- A user before the keys go with it, so that these know whose they were.
CREATE TRIGGER llama_users_audit_delete
    BEFORE DELETE ON llama_users FOR EACH ROW EXECUTE FUNCTION llama_audit_row();
CREATE TRIGGER llama_users_audit
    AFTER INSERT OR UPDATE ON llama_users FOR EACH ROW EXECUTE FUNCTION llama_audit_row();
CREATE TRIGGER llama_api_keys_audit
    AFTER INSERT OR UPDATE OR DELETE ON llama_api_keys FOR EACH ROW EXECUTE FUNCTION llama_audit_row();
CREATE TRIGGER llama_users_audit_truncate
    AFTER TRUNCATE ON llama_users FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();
CREATE TRIGGER llama_api_keys_audit_truncate
    AFTER TRUNCATE ON llama_api_keys FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();
CREATE TRIGGER llama_requests_audit_truncate
    AFTER TRUNCATE ON llama_requests FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();
CREATE TRIGGER llama_usage_audit_truncate
    AFTER TRUNCATE ON llama_usage FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();

-- Against accidents only: the tables' owner can switch it off.
CREATE FUNCTION llama_audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'llama_audit is only added to' USING
        HINT = 'Whoever means it: ALTER TABLE llama_audit DISABLE TRIGGER llama_audit_is_kept';
END
$$;

CREATE TRIGGER llama_audit_is_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON llama_audit
    FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_is_kept();

-- These write on behalf of whoever may change the tables, by whatever search path that one has.
DO $$
DECLARE
    function_ text;
BEGIN
    FOREACH function_ IN ARRAY ARRAY['llama_sum_usage', 'llama_audit_row', 'llama_audit_truncate'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', function_, current_schema());
        EXECUTE format('ALTER FUNCTION %I() SET timezone = ''UTC''', function_);
    END LOOP;
END
$$;
