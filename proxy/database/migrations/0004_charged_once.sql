-- Tokens charged are a column of each record, and a repeated call on a shared window has no second effect.

-- The proxy computes this number once, when a request ends (proxy/records/record.py); SQL only sums it.
ALTER TABLE llama_requests ADD COLUMN tokens_charged bigint NOT NULL DEFAULT 0;
UPDATE llama_requests r SET tokens_charged = llama_tokens_charged(r) WHERE llama_tokens_charged(r) > 0;

-- As in 0002; tokens are taken from the column.
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
        FROM llama_requests r
        WHERE r.username = p_username AND r.user_id = p_user_id AND r.admitted
          AND r.id <> ALL (p_without)
          AND r.created_at > p_since - CASE p_kind WHEN 'requests' THEN interval '1 minute'
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

DROP FUNCTION llama_tokens_charged(llama_requests);

-- Calls of the last ten minutes that changed a user's windows. A proxy that has lost the reply to a call
-- repeats it with the same id, and it is not carried out again. A charge has the id of its request.
CREATE TABLE llama_window_calls (
    user_id bigint NOT NULL,
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    -- What llama_admit_once granted.
    granted bigint NOT NULL DEFAULT 0,
    entry bigint,
    PRIMARY KEY (user_id, id)
);

CREATE INDEX llama_window_calls_at ON llama_window_calls (user_id, at);

-- As in 0002; and requests that are counted from the records are marked as charged, by the same snapshot:
-- a charge that comes after its record has been loaded must not count again.
CREATE OR REPLACE FUNCTION llama_window_open(
    p_user_id bigint, p_username text, p_kind text, p_window_s double precision
) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz;
    since timestamptz;
    known_from timestamptz;
BEGIN
    -- An advisory lock instead of a row's: a refusal writes nothing.
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    now_ := clock_timestamp();
    since := now_ - p_window_s * interval '1 s';
    SELECT w.complete_from INTO known_from FROM llama_windows w
    WHERE w.user_id = p_user_id AND w.kind = p_kind;
    IF known_from IS NULL OR known_from > since THEN
        -- A user who is new here, or a window made longer: what was before is in the records.
        WITH ended AS (
            SELECT r.id, r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms' AS at
            FROM llama_requests r
            WHERE p_kind = 'tokens' AND r.username = p_username AND r.user_id = p_user_id AND r.admitted
              AND r.created_at > now_ - interval '1 day'
        ), marked AS (
            INSERT INTO llama_window_calls (user_id, id, at)
            SELECT p_user_id, e.id, now_ FROM ended e
            WHERE e.at > now_ - interval '10 minutes' AND e.at <= coalesce(known_from, now_)
            ON CONFLICT DO NOTHING
        )
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

-- Note a call, under the user's lock. False if it has been carried out before.
CREATE FUNCTION llama_window_call_is_new(
    p_user_id bigint, p_call uuid, p_granted bigint DEFAULT 0, p_entry bigint DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM llama_window_calls c
    WHERE c.user_id = p_user_id AND c.at < clock_timestamp() - interval '10 minutes';
    INSERT INTO llama_window_calls (user_id, id, at, granted, entry)
    VALUES (p_user_id, p_call, clock_timestamp(), p_granted, p_entry) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

-- llama_admit, once: a repeated call returns what the first one granted.
CREATE FUNCTION llama_admit_once(
    p_call uuid, p_user_id bigint, p_username text, p_wanted bigint, p_limit bigint,
    p_window_s double precision, p_token_limit bigint,
    OUT granted bigint, OUT entry bigint, OUT used bigint, OUT wait_s double precision,
    OUT reset_s double precision, OUT tokens_used bigint, OUT tokens_wait_s double precision,
    OUT tokens_reset_s double precision
) LANGUAGE plpgsql AS $$
DECLARE
    before llama_window_calls;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    SELECT c.* INTO before FROM llama_window_calls c WHERE c.user_id = p_user_id AND c.id = p_call;
    SELECT a.* INTO granted, entry, used, wait_s, reset_s, tokens_used, tokens_wait_s, tokens_reset_s
    FROM llama_admit(p_user_id, p_username, CASE WHEN before.id IS NULL THEN p_wanted ELSE 0 END,
                     p_limit, p_window_s, p_token_limit) a;
    IF before.id IS NOT NULL THEN
        granted := before.granted;
        entry := before.entry;
        used := used - before.granted;
    ELSIF granted > 0 THEN
        PERFORM llama_window_call_is_new(p_user_id, p_call, granted, entry);
    END IF;
END
$$;

-- Undo a call of llama_admit_once whose reply was lost, even if it is carried out only later.
CREATE FUNCTION llama_withdraw(p_user_id bigint, p_call uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before llama_window_calls;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    IF NOT llama_window_call_is_new(p_user_id, p_call) THEN
        SELECT c.* INTO before FROM llama_window_calls c WHERE c.user_id = p_user_id AND c.id = p_call;
        UPDATE llama_window_entries e SET count = greatest(0, e.count - before.granted)
        WHERE e.user_id = p_user_id AND e.kind = 'requests' AND e.id = before.entry;
        UPDATE llama_window_calls c SET granted = 0, entry = NULL
        WHERE c.user_id = p_user_id AND c.id = p_call;
    END IF;
END
$$;

CREATE FUNCTION llama_charge_once(
    p_call uuid, p_user_id bigint, p_username text, p_window_s double precision, p_tokens bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := llama_window_open(p_user_id, p_username, 'tokens', p_window_s);
BEGIN
    IF llama_window_call_is_new(p_user_id, p_call) THEN
        PERFORM llama_window_add(p_user_id, 'tokens', p_window_s, now_, p_tokens);
    END IF;
END
$$;

CREATE FUNCTION llama_give_back_once(p_call uuid, p_user_id bigint, p_entry bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_window', p_user_id));
    IF llama_window_call_is_new(p_user_id, p_call) THEN
        PERFORM llama_give_back(p_user_id, p_entry);
    END IF;
END
$$;

-- As in 0002; a deleted user's calls go too.
CREATE OR REPLACE FUNCTION llama_forget_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM llama_window_calls c WHERE c.user_id = OLD.id;
    DELETE FROM llama_window_entries e WHERE e.user_id = OLD.id;
    DELETE FROM llama_windows w WHERE w.user_id = OLD.id;
    RETURN NULL;
END
$$;
