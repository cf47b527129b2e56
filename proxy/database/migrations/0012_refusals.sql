-- A request that the proxy answers by itself (usage, files, batches) is not admitted, and is no refusal.

CREATE OR REPLACE FUNCTION llama_usage_of(r llama_requests) RETURNS SETOF llama_usage
LANGUAGE sql IMMUTABLE AS $$
    SELECT (r.created_at AT TIME ZONE 'UTC')::date, r.username,
           CASE WHEN r.admitted AND r.latency_ms IS NOT NULL
               THEN floor(ln(least(greatest(r.latency_ms, 1), 1e9)) / ln(1.05::float8)) ELSE -1 END::smallint,
           CASE WHEN r.admitted THEN r.count ELSE 0 END::numeric,
           CASE WHEN r.admitted OR r.status_code < 400 THEN 0 ELSE r.count END::numeric,
           coalesce(r.prompt_tokens, 0)::numeric, coalesce(r.completion_tokens, 0)::numeric,
           r.request_bytes::numeric, r.response_bytes::numeric,
           CASE WHEN r.admitted THEN coalesce(least(greatest(r.latency_ms, 0), 1e9), 0) * r.count ELSE 0 END
$$;

-- The sums so far, as far as their records are there. Nothing is added meanwhile.
LOCK TABLE llama_requests IN SHARE ROW EXCLUSIVE MODE;

UPDATE llama_usage u SET refusals = greatest(u.refusals - answered.count, 0)
FROM (
    SELECT (r.created_at AT TIME ZONE 'UTC')::date AS day, r.username, sum(r.count) AS count
    FROM llama_requests r WHERE NOT r.admitted AND r.status_code < 400 GROUP BY 1, 2
) answered
WHERE u.day = answered.day AND u.username = answered.username AND u.latency_class = -1;
