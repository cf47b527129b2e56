#!/usr/bin/env bash
# Summary: Control the embedded PostgreSQL. Calls runtime/postgres/control.sh.
# Usage: runtime/postgres.sh COMMAND [ARGUMENT …]
#
# Example: `runtime/postgres.sh client pg_dump --clean --if-exists >backup.sql`.
# `runtime/postgres.sh --help` lists the commands.
set -euo pipefail

exec bash "$(dirname -- "${BASH_SOURCE[0]}")/postgres/control.sh" "$@"
