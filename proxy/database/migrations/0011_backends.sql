-- Several engines: which one got a request, which get none for now, and how several proxies share their slots.

ALTER TABLE llama_requests ADD COLUMN backend text;

CREATE TABLE llama_backends (
    url text PRIMARY KEY,
    drained_at timestamptz
);

-- The proxies of LLAMA_PROXY_SHARED=1 that run. One that dies is removed by another after expires_at.
CREATE TABLE llama_proxies (
    id uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

-- How many slots of an engine each proxy holds, and how many it could use. The sum of slots is at most what the
-- engine has: it is changed under llama_renew_proxy's lock only.
CREATE TABLE llama_leases (
    proxy uuid NOT NULL REFERENCES llama_proxies (id) ON DELETE CASCADE,
    backend text NOT NULL,
    slots int NOT NULL,
    demand int NOT NULL,
    PRIMARY KEY (proxy, backend)
);

-- Keep a proxy alive for p_ttl_s, forget dead ones, and lock the leases until the end of the transaction.
CREATE FUNCTION llama_renew_proxy(p_id uuid, p_ttl_s double precision) RETURNS double precision
LANGUAGE plpgsql AS $$
DECLARE
    now_ timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('llama_leases', 0));
    now_ := clock_timestamp();
    DELETE FROM llama_proxies p WHERE p.expires_at < now_ AND p.id <> p_id;
    INSERT INTO llama_proxies (id, expires_at) VALUES (p_id, now_ + p_ttl_s * interval '1 s')
    ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at;
    RETURN extract(epoch FROM now_);
END
$$;
