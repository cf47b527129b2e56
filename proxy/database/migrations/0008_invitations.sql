-- An invitation lets its holder make a key for a user, once. A user has one at most; only a hash of its code
-- is stored.
CREATE TABLE llama_invitations (
    user_id bigint PRIMARY KEY REFERENCES llama_users (id) ON DELETE CASCADE,
    hash bytea NOT NULL UNIQUE, -- SHA-256
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- Of the key that is made with it; NULL: never.
    key_expires_at timestamptz,
    used_at timestamptz
);

-- As in 0003, of invitations too.
CREATE OR REPLACE FUNCTION llama_audit_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    old_ jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    new_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    named jsonb := coalesce(new_, old_);
    user_id_ bigint := coalesce(named ->> 'user_id', named ->> 'id')::bigint;
    username_ text := named ->> 'username';
BEGIN
    IF TG_TABLE_NAME <> 'llama_users' THEN
        SELECT u.username INTO username_ FROM llama_users u WHERE u.id = user_id_;
        IF username_ IS NULL THEN -- deleted a moment ago, with all keys
            SELECT a.username INTO username_ FROM llama_audit a
            WHERE a.user_id = user_id_ AND a.action = 'delete user' ORDER BY a.id DESC LIMIT 1;
        END IF;
    END IF;
    IF TG_OP <> 'UPDATE' OR old_ - 'last_used_at' <> new_ - 'last_used_at' THEN
        INSERT INTO llama_audit (action, username, user_id, public_id, old, new)
        VALUES (CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'change' ELSE 'delete' END
                || CASE TG_TABLE_NAME WHEN 'llama_users' THEN ' user' WHEN 'llama_api_keys' THEN ' key'
                        ELSE ' invitation' END,
                username_, user_id_, named ->> 'public_id', llama_audited(old_, new_), llama_audited(new_, old_));
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;

DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION llama_audit_row() SET search_path = %I, pg_temp', current_schema());
    ALTER FUNCTION llama_audit_row() SET timezone = 'UTC';
END
$$;

CREATE TRIGGER llama_invitations_audit
    AFTER INSERT OR UPDATE OR DELETE ON llama_invitations FOR EACH ROW EXECUTE FUNCTION llama_audit_row();
CREATE TRIGGER llama_invitations_audit_truncate
    AFTER TRUNCATE ON llama_invitations FOR EACH STATEMENT EXECUTE FUNCTION llama_audit_truncate();
