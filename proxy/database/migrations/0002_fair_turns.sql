-- What a user is promised beside other users: turns, and windows that several proxies share.

ALTER TABLE llama_users
    -- Turns in each round of those who wait.
    ADD COLUMN weight double precision NOT NULL DEFAULT 1 CHECK (weight > 0),
    -- Requests with the engine at a time; NULL: as many as it takes.
    ADD COLUMN max_concurrent int CHECK (max_concurrent > 0),
    -- Prompt and completion tokens in a rate window; NULL: the proxy's default (LLAMA_PROXY_TOKEN_LIMIT).
    ADD COLUMN token_limit bigint CHECK (token_limit > 0);

ALTER TABLE llama_requests
    -- When it took its place in the rate window. It may have arrived some time before: its key was looked up.
    ADD COLUMN admitted_at timestamptz;

-- The rate windows of LLAMA_PROXY_SHARED=1: one row for what was admitted (requests) or charged
-- (tokens) at a time; beyond 4096 rows, for what was within a 4096th of the window.
CREATE TABLE llama_window_entries (
    user_id bigint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('requests', 'tokens')),
    id bigint GENERATED ALWAYS AS IDENTITY,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (user_id, kind, id)
);

-- Since when a user's entries are complete: a window that reaches back further needs history.
CREATE TABLE llama_windows (
    user_id bigint NOT NULL,
    kind text NOT NULL,
    complete_from timestamptz NOT NULL,
    PRIMARY KEY (user_id, kind)
);

-- The tokens that a request is charged with: those the engine told; for a stream that told none, as one
-- that its client left, an estimate (proxy/records/record.py has the same).
CREATE FUNCTION llama_tokens_charged(r llama_requests) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN r.prompt_tokens IS NOT NULL OR r.completion_tokens IS NOT NULL
            THEN coalesce(r.prompt_tokens, 0) + coalesce(r.completion_tokens, 0)
        WHEN r.stream AND r.ttft_ms IS NOT NULL THEN r.request_bytes / 4 + r.response_bytes / 200
        ELSE 0
    END
$$;

-- A user's admissions (requests) or charges (tokens) in the records since a time, grouped where they are
-- many, each group counted as late as its last: never too few. Times to come, since a clock was set
-- back, count as now; but what is from between p_now and p_until, or is p_without, the caller knows by
-- itself. A request is charged at its end; one is taken to last a day at most.
CREATE FUNCTION llama_window_history(
    p_user_id bigint, p_username text, p_kind text, p_since timestamptz, p_now timestamptz,
    p_until timestamptz, p_without uuid[]
) RETURNS TABLE (at timestamptz, count bigint) LANGUAGE sql STABLE AS $$
    WITH found AS (
        SELECT CASE p_kind
                   WHEN 'requests' THEN coalesce(r.admitted_at, r.created_at)
                   ELSE r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms'
               END AS at,
               CASE p_kind WHEN 'requests' THEN r.count ELSE llama_tokens_charged(r) END AS count
        FROM llama_requests r
        WHERE r.username = p_username AND r.user_id = p_user_id AND r.admitted
          AND r.id <> ALL (p_without) AND r.created_at > p_since - CASE p_kind WHEN 'requests' THEN interval '1 minute'
                                                   ELSE interval '1 day' END
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

-- Make one user's window ready to be read, and nobody else's business until this transaction ends.
-- Returns the time: the database's clock is the one that all proxies share.
CREATE FUNCTION llama_window_open(
    p_user_id bigint, p_username text, p_kind text, p_window_s double precision
) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz;
    since timestamptz;
    known_from timestamptz;
BEGIN
    -- An advisory lock and no row's: a refusal writes nothing.
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    now_ := clock_timestamp();
    since := now_ - p_window_s * interval '1 s';
    SELECT w.complete_from INTO known_from FROM llama_windows w
    WHERE w.user_id = p_user_id AND w.kind = p_kind;
    IF known_from IS NULL OR known_from > since THEN
        -- A user new here, or a window made longer: the records tell of what was before.
        INSERT INTO llama_window_entries (user_id, kind, first_at, last_at, count)
        SELECT p_user_id, p_kind, h.at, h.at, h.count
        FROM llama_window_history(p_user_id, p_username, p_kind, since, now_, now_, '{}') h
        WHERE h.at <= coalesce(known_from, now_);
        INSERT INTO llama_windows (user_id, kind, complete_from) VALUES (p_user_id, p_kind, since)
        ON CONFLICT (user_id, kind) DO UPDATE SET complete_from = excluded.complete_from;
    END IF;
    IF EXISTS (SELECT FROM llama_window_entries e
               WHERE e.user_id = p_user_id AND e.kind = p_kind AND e.last_at > now_) THEN
        -- The clock was set back: what came later than now counts as now, for one window.
        UPDATE llama_window_entries e SET first_at = least(e.first_at, now_), last_at = now_
        WHERE e.user_id = p_user_id AND e.kind = p_kind AND e.last_at > now_;
    END IF;
    RETURN now_;
END
$$;

-- Put an entry into a window that is open, and forget what no window needs.
CREATE FUNCTION llama_window_add(
    p_user_id bigint, p_kind text, p_window_s double precision, p_now timestamptz, p_count bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    entries bigint;
    latest llama_window_entries;
    forgotten timestamptz;
    entry bigint;
BEGIN
    -- Kept for an hour, so that a window made longer finds requests that are still running.
    WITH gone AS (
        DELETE FROM llama_window_entries e WHERE e.user_id = p_user_id AND e.kind = p_kind
            AND e.last_at <= p_now - greatest(p_window_s, 3600) * interval '1 s'
        RETURNING e.last_at
    ) SELECT max(gone.last_at) INTO forgotten FROM gone;
    SELECT count(*) INTO entries FROM llama_window_entries e
    WHERE e.user_id = p_user_id AND e.kind = p_kind;
    IF entries >= 4096 THEN
        WITH gone AS (
            DELETE FROM llama_window_entries e WHERE e.user_id = p_user_id AND e.kind = p_kind
                AND e.last_at <= p_now - p_window_s * interval '1 s'
            RETURNING e.last_at
        ) SELECT greatest(forgotten, max(gone.last_at)) INTO forgotten FROM gone;
        SELECT * INTO latest FROM llama_window_entries e
        WHERE e.user_id = p_user_id AND e.kind = p_kind ORDER BY e.id DESC LIMIT 1;
    END IF;
    IF forgotten IS NOT NULL THEN
        UPDATE llama_windows w SET complete_from = greatest(w.complete_from, forgotten)
        WHERE w.user_id = p_user_id AND w.kind = p_kind;
    END IF;
    IF p_now - latest.first_at < p_window_s / 4096 * interval '1 s' THEN
        UPDATE llama_window_entries e SET last_at = p_now, count = e.count + p_count
        WHERE e.user_id = p_user_id AND e.kind = p_kind AND e.id = latest.id;
        RETURN latest.id;
    END IF;
    INSERT INTO llama_window_entries (user_id, kind, first_at, last_at, count)
    VALUES (p_user_id, p_kind, p_now, p_now, p_count) RETURNING id INTO entry;
    RETURN entry;
END
$$;

-- The state of a window that is open. wait_s: until one more fits; 0 when it does now.
CREATE FUNCTION llama_window_look(
    p_user_id bigint, p_kind text, p_window_s double precision, p_limit bigint, p_now timestamptz,
    OUT used bigint, OUT wait_s double precision, OUT reset_s double precision
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    window_ interval := p_window_s * interval '1 s';
BEGIN
    SELECT coalesce(sum(e.count), 0), coalesce(extract(epoch FROM max(e.last_at) + window_ - p_now), 0)
    INTO used, reset_s FROM llama_window_entries e
    WHERE e.user_id = p_user_id AND e.kind = p_kind AND e.last_at > p_now - window_ AND e.count > 0;
    wait_s := 0;
    IF used >= p_limit THEN
        SELECT extract(epoch FROM c.last_at + window_ - p_now) INTO wait_s FROM (
            SELECT e.last_at, sum(e.count) OVER (ORDER BY e.last_at, e.id) AS freed
            FROM llama_window_entries e
            WHERE e.user_id = p_user_id AND e.kind = p_kind AND e.last_at > p_now - window_
        ) c WHERE c.freed > used - p_limit ORDER BY c.freed LIMIT 1;
    END IF;
END
$$;

-- Admit up to p_wanted requests of a user. The token window is looked at, where there is one.
CREATE FUNCTION llama_admit(
    p_user_id bigint, p_username text, p_wanted bigint, p_limit bigint, p_window_s double precision,
    p_token_limit bigint,
    OUT granted bigint, OUT entry bigint, OUT used bigint, OUT wait_s double precision,
    OUT reset_s double precision, OUT tokens_used bigint, OUT tokens_wait_s double precision,
    OUT tokens_reset_s double precision
) LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := llama_window_open(p_user_id, p_username, 'requests', p_window_s);
BEGIN
    SELECT l.* INTO used, wait_s, reset_s
    FROM llama_window_look(p_user_id, 'requests', p_window_s, p_limit, now_) l;
    granted := greatest(0, least(p_wanted, p_limit - used));
    IF p_token_limit IS NOT NULL THEN
        PERFORM llama_window_open(p_user_id, p_username, 'tokens', p_window_s);
        SELECT l.* INTO tokens_used, tokens_wait_s, tokens_reset_s
        FROM llama_window_look(p_user_id, 'tokens', p_window_s, p_token_limit, now_) l;
        IF tokens_used >= p_token_limit THEN
            granted := 0;
        END IF;
    END IF;
    IF granted > 0 THEN
        entry := llama_window_add(p_user_id, 'requests', p_window_s, now_, granted);
        SELECT l.wait_s, l.reset_s INTO wait_s, reset_s
        FROM llama_window_look(p_user_id, 'requests', p_window_s, p_limit, now_) l;
    END IF;
END
$$;

-- How a user's token window stands.
CREATE FUNCTION llama_tokens_left(
    p_user_id bigint, p_username text, p_window_s double precision, p_limit bigint,
    OUT used bigint, OUT wait_s double precision, OUT reset_s double precision
) LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := llama_window_open(p_user_id, p_username, 'tokens', p_window_s);
BEGIN
    SELECT l.* INTO used, wait_s, reset_s
    FROM llama_window_look(p_user_id, 'tokens', p_window_s, p_limit, now_) l;
END
$$;

-- Charge a user with tokens.
CREATE FUNCTION llama_charge(
    p_user_id bigint, p_username text, p_window_s double precision, p_tokens bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := llama_window_open(p_user_id, p_username, 'tokens', p_window_s);
BEGIN
    PERFORM llama_window_add(p_user_id, 'tokens', p_window_s, now_, p_tokens);
END
$$;

-- Give a place back: the request was refused after all.
CREATE FUNCTION llama_give_back(p_user_id bigint, p_entry bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    UPDATE llama_window_entries e SET count = e.count - 1
    WHERE e.user_id = p_user_id AND e.kind = 'requests' AND e.id = p_entry AND e.count > 0;
END
$$;

-- A deleted user's windows go too.
CREATE FUNCTION llama_forget_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM llama_window_entries e WHERE e.user_id = OLD.id;
    DELETE FROM llama_windows w WHERE w.user_id = OLD.id;
    RETURN NULL;
END
$$;

-- Users without a token limit are not charged: for one who is given a limit, the records are to tell.
CREATE FUNCTION llama_forget_token_window() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM llama_window_entries e WHERE e.user_id = NEW.id AND e.kind = 'tokens';
    DELETE FROM llama_windows w WHERE w.user_id = NEW.id AND w.kind = 'tokens';
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_users_token_window
    AFTER UPDATE OF token_limit ON llama_users
    FOR EACH ROW WHEN (OLD.token_limit IS NULL) EXECUTE FUNCTION llama_forget_token_window();

CREATE TRIGGER llama_users_windows
    AFTER DELETE ON llama_users
    FOR EACH ROW EXECUTE FUNCTION llama_forget_windows();
