"""Starts, watches and stops the appliance's programs: PostgreSQL, the model server, the proxy.

Owns supervisord's configuration, the order of a start, the replacement of the server, readiness checks
and the status report. Leaves the commands that users type to runtime/commands/, and PostgreSQL's own
set-up to runtime/postgres/. Front doors: `begin.sh` for the commands; `client`, `readiness` and `status`
for other rooms.
"""
