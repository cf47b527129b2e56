#!/usr/bin/env bash
# Summary: Stop the appliance and remove what it has made, also outside the checkout
# Usage: ./console.sh uninstall [--keep-data] [--yes]
#
# Shows what is removed and asks, unless --yes is given: the Python environment in the checkout, logs, the
# compiled engine in the cache directory, a systemd unit of this checkout, and the database with all users and
# records, the configuration and the keys. --keep-data leaves database, configuration and keys.
# Models, .env and the checkout itself stay, as do an environment or a database elsewhere.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

# Where control.sh keeps root's database if its user cannot reach the checkout (runtime/postgres/place.sh).
STATE_DIR=/var/lib/llamaserve

KEEP_DATA=''
YES=''
REMOVED=()
UNIT=''

parse() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --keep-data) KEEP_DATA=1 ;;
      --yes) YES=1 ;;
      *) usage_error "unknown argument: $argument" ;;
    esac
  done
}

# add PATH…: note what exists of it for removal.
add() {
  local path
  for path in "$@"; do
    if [ -e "$path" ] || [ -L "$path" ]; then REMOVED+=("$path"); fi
  done
}

collect() {
  local cache="${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}" cluster
  add "$ROOT/runtime/.venv" "$ROOT/runtime/.venv-cluster" "$ROOT/bin/.venv" "$RUN_DIR" "$LOG_DIR" "$ROOT/runtime/wheels"
  [ -z "$cache" ] || add "$cache/llamaserve"
  [ -z "$UNIT" ] || REMOVED+=("$UNIT")
  [ -z "$KEEP_DATA" ] || return 0
  cluster="$(readlink "$DATA_DIR/postgres" || :)"
  case "$cluster" in "$STATE_DIR"/*/data) add "${cluster%/data}" ;; esac
  add "$DATA_DIR/postgres" "$DATA_DIR/postgres.url" "$DATA_DIR/spool" "$DATA_DIR/files" "$DATA_DIR/model" \
    "$DATA_DIR/cluster.json" "$DATA_DIR/cluster.token" "$DATA_DIR/model.before" "$DATA_DIR/console.key" "$DATA_DIR/before-upgrade.tar.gz" \
    "$ROOT/runtime/config.env" "$ROOT/runtime/config.env.before-restore" "$ROOT/.env.before-restore"
}

# Set UNIT if systemd starts this checkout.
find_unit() {
  local file
  for file in /etc/systemd/system "${XDG_CONFIG_HOME:-${HOME:-}/.config}/systemd/user" "${SYSTEMD_UNIT_PATH:-}"; do
    file="$file/llamaserve.service"
    if grep -qsxF "WorkingDirectory=${ROOT//%/%%}" "$file"; then UNIT="$file"; fi
  done
}

confirm() {
  local answer=''
  say 'This stops the appliance and removes:'
  printf '  %s\n' "${REMOVED[@]}" >&2
  say 'This stays:'
  printf '  %s\n' "$ROOT with models/ and .env: rm -rf '$ROOT' removes it" >&2
  case "$VENV_DIR" in
    "$ROOT"/*) ;;
    *) printf '  %s (LLAMA_VENV_DIR)\n' "$VENV_DIR" >&2 ;;
  esac
  ! id llamaserve-db >/dev/null 2>&1 || printf '  the system user llamaserve-db, and %s\n' "$STATE_DIR" >&2
  [ -z "$YES" ] || return 0
  [ -t 0 ] || die 'nothing was removed' '--yes removes it without a question'
  printf 'Remove it? Type yes: ' >&2
  read -r answer || :
  [ "$answer" = yes ] || die 'nothing was removed'
}

main() {
  handle_help "$@"
  parse "$@"
  export LLAMASERVE_LENIENT=1
  init_supervision
  find_unit
  collect
  [ "${#REMOVED[@]}" -gt 0 ] || { say 'there is nothing to remove' && return; }
  confirm
  [ -z "$UNIT" ] || bash "$ROOT/runtime/commands/upkeep/service.sh" remove
  [ ! -e "$DATA_DIR/cluster.json" ] || bash "$ROOT/runtime/commands/upkeep/cluster.sh" stop
  bash "$ROOT/runtime/commands/stop.sh"
  # stop has made these two, if they were gone.
  rm -rf "${REMOVED[@]}" "$RUN_DIR" "$LOG_DIR" || die 'not everything could be removed'
  [ -n "$KEEP_DATA" ] || rmdir "$DATA_DIR" 2>/dev/null || :
  say 'removed'
}

main "$@"
