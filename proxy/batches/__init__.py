"""Batches: many requests in one file, answered when nobody else waits for the engine.

`/v1/batches`, as OpenAI has it (https://platform.openai.com/docs/api-reference/batch). Owns the API
(`api`), the check of input files (`validation`), the rows (`table`, `progress`), and the work: `runner`
leases batches to this proxy, a `worker` runs one batch, `lines` one of its lines. `upkeep` removes what
is old. Leaves turns to `scheduling.batch_turns`, and files to `files`.

A batch belongs to the proxy that leases it, and a line's result is written once, if the lease still
holds and there is none: whatever is killed, each line has one result, and one that has it is not run
again.

Front door: `service.Batches`.
"""
