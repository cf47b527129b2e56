-- Budgets of tokens for a calendar period, and groups whose members share limits and a budget.
--
-- A subject is a user (the user's id) or a group (its id, negative): both have windows and a budget. Periods
-- begin at midnight in the time zone of the database's sessions; a week begins on Monday.

CREATE TABLE llama_groups (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    -- For all members together. NULL: no limit; of the window: the proxy's default.
    rate_limit bigint CHECK (rate_limit > 0),
    rate_window_seconds double precision CHECK (rate_window_seconds > 0),
    token_limit bigint CHECK (token_limit > 0),
    token_budget bigint CHECK (token_budget > 0),
    -- NULL: month.
    budget_period text CHECK (budget_period IN ('day', 'week', 'month')),
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE llama_users
    ADD COLUMN token_budget bigint CHECK (token_budget > 0),
    -- NULL: month.
    ADD COLUMN budget_period text CHECK (budget_period IN ('day', 'week', 'month')),
    ADD COLUMN group_id bigint REFERENCES llama_groups (id) ON DELETE SET NULL;

CREATE INDEX llama_users_group_id ON llama_users (group_id);

-- Who belonged to which group, and when: what a user uses counts for the group of that time.
CREATE TABLE llama_memberships (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id bigint NOT NULL REFERENCES llama_groups (id) ON DELETE CASCADE,
    user_id bigint NOT NULL,
    username text NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    until timestamptz NOT NULL DEFAULT 'infinity'
);

CREATE INDEX llama_memberships_group_id ON llama_memberships (group_id);
CREATE INDEX llama_memberships_user_id ON llama_memberships (user_id);

CREATE FUNCTION llama_note_membership() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE llama_memberships m SET until = clock_timestamp()
        WHERE m.user_id = OLD.id AND m.until = 'infinity';
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.group_id IS NOT NULL THEN
        INSERT INTO llama_memberships (group_id, user_id, username)
        VALUES (NEW.group_id, NEW.id, NEW.username);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_users_membership
    AFTER INSERT OR DELETE OR UPDATE OF group_id, username ON llama_users
    FOR EACH ROW EXECUTE FUNCTION llama_note_membership();

-- Proxies know a group by its members.
CREATE FUNCTION llama_notify_group_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('llama_user_changed', u.id::text) FROM llama_users u WHERE u.group_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_groups_changed
    AFTER UPDATE ON llama_groups
    FOR EACH ROW EXECUTE FUNCTION llama_notify_group_changed();

ALTER TABLE llama_audit ADD COLUMN group_name text;

CREATE FUNCTION llama_audit_group() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    old_ jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - 'name' END;
    new_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - 'name' END;
BEGIN
    INSERT INTO llama_audit (action, group_name, old, new)
    VALUES (CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'change' ELSE 'delete' END || ' group',
            CASE TG_OP WHEN 'DELETE' THEN OLD.name ELSE NEW.name END,
            llama_audited(old_, new_), llama_audited(new_, old_));
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_groups_audit
    AFTER INSERT OR UPDATE OR DELETE ON llama_groups
    FOR EACH ROW EXECUTE FUNCTION llama_audit_group();
CREATE TRIGGER llama_groups_audit_truncate
    AFTER TRUNCATE ON llama_groups FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();

-- The admitted requests of a subject that arrived after a time. One counts for the group that its user
-- belonged to when it was admitted.
CREATE FUNCTION llama_requests_of(p_subject bigint, p_username text, p_after timestamptz)
RETURNS SETOF llama_requests LANGUAGE sql STABLE AS $$
    SELECT r.* FROM llama_requests r
    WHERE p_subject > 0 AND r.username = p_username AND r.user_id = p_subject AND r.admitted
      AND r.created_at > p_after
    UNION ALL
    SELECT r.* FROM llama_memberships m
    JOIN llama_requests r ON r.username = m.username AND r.user_id = m.user_id
    WHERE p_subject < 0 AND m.group_id = -p_subject AND r.admitted AND r.created_at > p_after
      AND coalesce(r.admitted_at, r.created_at) >= m.since
      AND coalesce(r.admitted_at, r.created_at) < m.until
$$;

-- As in 0004, of a subject.
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
        WHERE r.id <> ALL (p_without)
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

-- As in 0004, of a subject.
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
        -- A subject that is new here, or a window made longer: what was before is in the records.
        WITH ended AS (
            SELECT r.id, r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms' AS at
            FROM llama_requests_of(p_user_id, p_username, now_ - interval '1 day') r
            WHERE p_kind = 'tokens'
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

-- Tokens charged to a subject for requests that ended from p_from to p_until.
CREATE FUNCTION llama_tokens_ended(
    p_subject bigint, p_username text, p_from timestamptz, p_until timestamptz, p_without uuid[]
) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(r.tokens_charged), 0)::bigint
    FROM llama_requests_of(p_subject, p_username, p_from - interval '1 day') r
    WHERE r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms' >= p_from
      AND r.created_at + coalesce(r.latency_ms, 0) * interval '1 ms' <= p_until
      AND r.id <> ALL (p_without)
$$;

-- For a proxy that counts budgets itself: what was used of a period by p_now, and when that period and the
-- next ones begin.
CREATE FUNCTION llama_budget_history(
    p_subject bigint, p_username text, p_period text, p_now timestamptz, p_without uuid[],
    OUT used bigint, OUT starts double precision[]
) LANGUAGE sql STABLE AS $$
    SELECT llama_tokens_ended(p_subject, p_username, date_trunc(p_period, p_now), p_now, p_without),
           (SELECT array_agg(extract(epoch FROM date_trunc(p_period, p_now)
                                     + n * ('1 ' || p_period)::interval)::float8 ORDER BY n)
            FROM generate_series(0, 12) n)
$$;

-- The budgets of LLAMA_PROXY_SHARED=1: what has been used of the present period.
CREATE TABLE llama_budget_use (
    subject_id bigint PRIMARY KEY,
    period text NOT NULL,
    period_start timestamptz NOT NULL,
    tokens numeric NOT NULL
);

-- Charges whose record has not come yet.
CREATE TABLE llama_budget_charges (
    subject_id bigint NOT NULL,
    request_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tokens bigint NOT NULL,
    PRIMARY KEY (subject_id, request_id)
);

-- While a budget is opened from the records, none are added.
CREATE FUNCTION llama_lock_budgets(p_exclusive boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_exclusive THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('llama_budgets', 0));
    ELSE
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('llama_budgets', 0));
    END IF;
END
$$;

CREATE FUNCTION llama_budget_used(
    p_subject bigint, p_username text, p_period text, OUT used bigint, OUT reset_s double precision
) LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz := clock_timestamp();
    start_ timestamptz := date_trunc(p_period, now_);
    budget llama_budget_use;
BEGIN
    reset_s := extract(epoch FROM start_ + ('1 ' || p_period)::interval - now_);
    SELECT b.* INTO budget FROM llama_budget_use b WHERE b.subject_id = p_subject;
    IF budget.period IS DISTINCT FROM p_period THEN
        PERFORM llama_lock_budgets(true);
        used := llama_tokens_ended(p_subject, p_username, start_, 'infinity', '{}') + coalesce((
            SELECT sum(c.tokens) FROM llama_budget_charges c
            WHERE c.subject_id = p_subject AND c.at >= start_), 0);
        INSERT INTO llama_budget_use (subject_id, period, period_start, tokens)
        VALUES (p_subject, p_period, start_, used)
        ON CONFLICT (subject_id) DO UPDATE SET
            period = excluded.period, period_start = excluded.period_start, tokens = excluded.tokens;
    ELSE
        used := CASE WHEN budget.period_start >= start_ THEN budget.tokens ELSE 0 END;
    END IF;
END
$$;

CREATE FUNCTION llama_budget_add(p_subject bigint, p_at timestamptz, p_tokens numeric) RETURNS void
LANGUAGE sql AS $$
    UPDATE llama_budget_use b SET
        tokens = p_tokens + CASE WHEN b.period_start = date_trunc(b.period, p_at) THEN b.tokens ELSE 0 END,
        period_start = date_trunc(b.period, p_at)
    WHERE b.subject_id = p_subject AND b.period_start <= date_trunc(b.period, p_at)
$$;

-- Charge a request that has ended, before its record comes. A repeated call does nothing.
CREATE FUNCTION llama_budget_charge(p_request uuid, p_subject bigint, p_tokens bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM llama_lock_budgets(false);
    PERFORM FROM llama_budget_use b WHERE b.subject_id = p_subject FOR UPDATE;
    IF NOT FOUND OR EXISTS (SELECT FROM llama_requests r WHERE r.id = p_request) THEN
        RETURN; -- the records count
    END IF;
    INSERT INTO llama_budget_charges (subject_id, request_id, tokens)
    VALUES (p_subject, p_request, p_tokens) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM llama_budget_add(p_subject, clock_timestamp(), p_tokens);
    END IF;
END
$$;

-- Records that have not been charged count when they come.
CREATE FUNCTION llama_count_budgets() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    one record;
BEGIN
    PERFORM llama_lock_budgets(false);
    IF NOT EXISTS (SELECT FROM llama_budget_use) THEN
        RETURN NULL;
    END IF;
    FOR one IN
        WITH ended AS (
            SELECT r.user_id AS subject_id, r.* FROM added r WHERE r.admitted AND r.tokens_charged > 0
            UNION ALL
            SELECT -m.group_id, r.* FROM added r
            JOIN llama_memberships m ON m.user_id = r.user_id
                AND coalesce(r.admitted_at, r.created_at) >= m.since
                AND coalesce(r.admitted_at, r.created_at) < m.until
            WHERE r.admitted AND r.tokens_charged > 0
        )
        SELECT e.subject_id, e.id, e.tokens_charged,
               e.created_at + coalesce(e.latency_ms, 0) * interval '1 ms' AS at
        FROM ended e JOIN llama_budget_use b ON b.subject_id = e.subject_id
        ORDER BY e.subject_id, at -- the same way round for all: no deadlocks
    LOOP
        PERFORM FROM llama_budget_use b WHERE b.subject_id = one.subject_id FOR UPDATE;
        DELETE FROM llama_budget_charges c
        WHERE c.subject_id = one.subject_id AND c.request_id = one.id;
        IF NOT FOUND THEN
            PERFORM llama_budget_add(one.subject_id, one.at, one.tokens_charged);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_requests_budgets
    AFTER INSERT ON llama_requests REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION llama_count_budgets();

-- What is kept of a subject that is deleted, or has lost a limit, goes.
CREATE FUNCTION llama_forget_subject(p_subject bigint, p_tokens_only boolean) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM llama_window_calls c WHERE c.user_id = p_subject AND NOT p_tokens_only;
    DELETE FROM llama_window_entries e
    WHERE e.user_id = p_subject AND (e.kind = 'tokens' OR NOT p_tokens_only);
    DELETE FROM llama_windows w WHERE w.user_id = p_subject AND (w.kind = 'tokens' OR NOT p_tokens_only);
    DELETE FROM llama_budget_charges c WHERE c.subject_id = p_subject AND NOT p_tokens_only;
    DELETE FROM llama_budget_use b WHERE b.subject_id = p_subject AND NOT p_tokens_only;
$$;

CREATE OR REPLACE FUNCTION llama_forget_windows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM llama_forget_subject(CASE TG_TABLE_NAME WHEN 'llama_groups' THEN -OLD.id ELSE OLD.id END, false);
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_groups_windows
    AFTER DELETE ON llama_groups
    FOR EACH ROW EXECUTE FUNCTION llama_forget_windows();

-- As for users (0002): members of a group without a token limit are not charged for it.
CREATE FUNCTION llama_forget_group_tokens() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM llama_forget_subject(-NEW.id, true);
    RETURN NULL;
END
$$;

CREATE TRIGGER llama_groups_token_window
    AFTER UPDATE OF token_limit ON llama_groups
    FOR EACH ROW WHEN (OLD.token_limit IS NULL) EXECUTE FUNCTION llama_forget_group_tokens();

DO $$
DECLARE
    function_ text;
BEGIN
    FOREACH function_ IN ARRAY ARRAY['llama_note_membership', 'llama_audit_group', 'llama_count_budgets'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', function_, current_schema());
    END LOOP;
    ALTER FUNCTION llama_audit_group() SET timezone = 'UTC';
END
$$;
