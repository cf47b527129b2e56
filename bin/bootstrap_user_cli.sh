#!/usr/bin/env bash
# Summary: Create what bin/user_management_cli.sh needs: a small Python environment in bin/.venv.
# Usage: bin/bootstrap_user_cli.sh
# Environment: LLAMA_VENV_DIR   the appliance's Python environment (runtime/.venv), used if it is there
#   PYTHON           the Python to make bin/.venv with (the newest of 3.13, 3.12, 3.11, else python3)
#
# A second run changes nothing. After an interrupted run, or when the requirements have changed, it is
# created anew.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../runtime/shell/lib.sh"
# shellcheck source=runtime/shell/python.sh
source "$ROOT/runtime/shell/python.sh"

readonly MODULES=(psycopg psycopg_binary passlib dotenv)
readonly OWN_VENV="$ROOT/bin/.venv"
readonly REQUIREMENTS="$ROOT/runtime/requirements-cli.txt"

make_own_venv() {
  local python
  # The copy is put there last: with it the environment is complete, and made from this very file.
  if cmp -s "$REQUIREMENTS" "$OWN_VENV/requirements.txt" &&
    has_modules "$OWN_VENV/bin/python" "${MODULES[@]}"; then
    say 'The environment in bin/.venv is up to date.'
    return
  fi
  python="$(find_python)"
  say "creating a Python environment ($("$python" -V)) in bin/.venv"
  "$python" -m venv --clear "$OWN_VENV" >&2 || die 'the environment could not be created'
  # The lock names every dependency, so pip need not look for any (--no-deps).
  "$OWN_VENV/bin/python" -m pip --disable-pip-version-check install --quiet --no-deps \
    --require-hashes --requirement "$REQUIREMENTS" >&2 ||
    die 'the packages could not be installed' 'see above; run this again when that is fixed'
  cp "$REQUIREMENTS" "$OWN_VENV/requirements.txt"
}

main() {
  handle_help "$@"
  [ $# -eq 0 ] || usage_error "unknown arguments: $*"
  load_paths
  if has_modules "$VENV_DIR/bin/python" "${MODULES[@]}"; then
    say "The appliance's environment has all that is needed."
  else
    make_own_venv
  fi
  say 'Next: ./bin/user_management_cli.sh init-db, then create-user --username NAME'
}

main "$@"
