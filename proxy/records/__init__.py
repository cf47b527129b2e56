"""Records of requests: the request log, the access log, and reports of usage.

Owns the table `llama_requests`, the spool files from which it is loaded, and the access log. Leaves
rate limits to `ratelimit`, which reads history here, and the schema to `database`.

Front door: `request_log.RequestLog` takes a `record.RequestRecord`, `access_log.AccessLog` writes log
lines, `reports.usage` reads sums, `retention.Retention` removes old rows.
"""
