#!/usr/bin/env bash
# Summary: The embedded Postgres by the path that users know; runtime/postgres/control.sh is the program.
# Usage: runtime/postgres.sh COMMAND [ARGUMENT …]
#
# For example `runtime/postgres.sh client pg_dump --clean --if-exists >backup.sql`.
set -euo pipefail

exec bash "$(dirname -- "${BASH_SOURCE[0]}")/postgres/control.sh" "$@"
