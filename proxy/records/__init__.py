"""What is remembered of requests: their records, the access log, and reports of usage.

Owns the table `llama_requests`, the spool on disk before it, and the lines of the access log. Leaves
rate limits to `ratelimit`, which reads history here, and the schema to `database`.

Front door: `request_log.RequestLog` takes records, `record.RequestRecord` is one, `access_log.AccessLog`
writes log lines, `reports.usage` reads sums, `retention.Retention` removes old rows.
"""
