#!/usr/bin/env bash
# Summary: Manage users, their keys and limits, and see what they used.
# Usage: bin/user_management_cli.sh COMMAND [OPTION ...]
#   (--help lists the commands, COMMAND --help a command's options)
# Environment: LLAMA_VENV_DIR   the appliance's Python environment (runtime/.venv)
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../runtime/shell/lib.sh"
# shellcheck source=runtime/shell/python.sh
source "$ROOT/runtime/shell/python.sh"

main() {
  local python
  load_paths
  for python in "$VENV_DIR/bin/python" "$ROOT/bin/.venv/bin/python"; do
    if has_modules "$python" psycopg psycopg_binary passlib dotenv; then
      exec "$python" "$ROOT/bin/user_management_cli.py" "$@"
    fi
  done
  handle_help "$@" # the program itself has more, once it can run
  die 'there is no Python environment yet' './bin/bootstrap_user_cli.sh creates one'
}

main "$@"
