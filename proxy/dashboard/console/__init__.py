"""What the dashboard does by `./console.sh`: models, doctor, pull and use; and the logs that it writes.

Owns which commands may be run with which arguments, how long, and by whom one was begun. Nothing here
knows pages or roles: callers have checked that an administrator asks.

Front door: `runner.Console`, `jobs.Jobs`, `commands`, `logs`.
"""
