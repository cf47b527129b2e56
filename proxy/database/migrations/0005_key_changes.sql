-- Any change of a key that matters to a proxy is notified, whoever makes it: a key that is given another
-- public id, secret or user counts for the user it had and the one it has. TRUNCATE counts for all.
CREATE OR REPLACE FUNCTION llama_notify_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_LEVEL = 'STATEMENT' THEN
        PERFORM pg_notify('llama_user_changed', 'all');
    ELSIF TG_TABLE_NAME = 'llama_users' THEN
        PERFORM pg_notify('llama_user_changed', OLD.id::text);
    ELSE
        IF TG_OP <> 'INSERT' THEN
            PERFORM pg_notify('llama_user_changed', OLD.user_id::text);
        END IF;
        IF TG_OP <> 'DELETE' THEN
            -- PostgreSQL drops a notification that repeats one of the same transaction.
            PERFORM pg_notify('llama_user_changed', NEW.user_id::text);
        END IF;
    END IF;
    RETURN NULL;
END
$$;

DROP TRIGGER llama_api_keys_changed ON llama_api_keys;

-- Not on last_used_at: the proxy itself writes that.
CREATE TRIGGER llama_api_keys_changed
    AFTER INSERT OR DELETE OR UPDATE OF public_id, user_id, hash, expires_at, revoked_at ON llama_api_keys
    FOR EACH ROW EXECUTE FUNCTION llama_notify_user_changed();

CREATE TRIGGER llama_api_keys_truncated
    AFTER TRUNCATE ON llama_api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION llama_notify_user_changed();

CREATE TRIGGER llama_users_truncated
    AFTER TRUNCATE ON llama_users
    FOR EACH STATEMENT EXECUTE FUNCTION llama_notify_user_changed();
