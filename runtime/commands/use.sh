#!/usr/bin/env bash
# Summary: Switch to another model, while requests wait; back to the old one if it does not come up
# Usage: ./console.sh use FILE [--force]
#
# FILE is a GGUF file: a path, or a name in models/ (./console.sh models lists them). It is checked first;
# one that does not fit the memory is refused, unless forced. Answers under way may end
# (LLAMA_PROXY_DRAIN_SECONDS at most), requests without a turn wait for the new model
# (LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS at most). If it does not become ready within
# LLAMA_SERVER_START_SECONDS, the old one is started again and this ends with 1.
#
# Where the appliance does not run, the model is noted for its next start.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"
# shellcheck source=runtime/supervisor/bring_up.sh
. "$ROOT/runtime/supervisor/bring_up.sh"
# shellcheck source=runtime/supervisor/replace_server.sh
. "$ROOT/runtime/supervisor/replace_server.sh"

FILE=''
FORCE=''

parse() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --force) FORCE=1 ;;
      -*) usage_error "cannot be understood: $argument" ;;
      *)
        [ -z "$FILE" ] || usage_error 'one model at a time'
        FILE="$(named_model "$argument")"
        ;;
    esac
  done
  [ -n "$FILE" ] || usage_error 'which model? ./console.sh models lists them'
}

note_for_later() {
  remember_model "$1"
  say "noted: the next start serves $1"
}

warn_of_configured() {
  local configured
  configured="$(py -m runtime.config get LLAMA_SERVER_MODEL)"
  [ -z "$configured" ] || warn "but LLAMA_SERVER_MODEL is set, to $configured, and wins at a start"
}

switch_to() {
  case "$(supervision states)" in
    *'server running'* | *'server starting'*)
      if [ "$1" = "$(cat "$DATA_DIR/model")" ]; then
        say "$1 is served already (./console.sh restart server loads it anew)"
        return
      fi
      ;;
  esac
  replace_server "$1"
}

main() {
  local model
  parse "$@"
  init_supervision
  make_dirs
  trap clean_up_replacement EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  take_lock "$RUN_DIR/lock" use
  install
  py -m runtime.config check
  read_config
  [ "$LOCAL_SERVER" = 1 ] || die 'the configuration has no server to run here (LLAMA_SERVER_BACKEND_URL)'
  model="$(py -m runtime.models.selection select --model "$FILE")" || exit 1
  [ -n "$FORCE" ] || py -m runtime.library.model_fit "$model" || die "$model is not used" '--force does so all the same'
  if supervisord_runs; then
    switch_to "$model"
    release_lock "$RUN_DIR/lock"
    print_summary
  else
    note_for_later "$model"
  fi
  warn_of_configured
}

main "$@"
