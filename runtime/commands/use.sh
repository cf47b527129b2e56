#!/usr/bin/env bash
# Summary: Switch to another model while requests wait; go back to the old one if it fails
# Usage: ./console.sh use FILE [--force]
#
# FILE is a GGUF file: a path, or a name in models/ (./console.sh models lists them). It is checked first;
# a model that does not fit into memory is refused, unless --force is given. Running requests may end
# (LLAMA_PROXY_DRAIN_SECONDS at most), new ones wait in the queue for the new model
# (LLAMA_PROXY_QUEUE_TIMEOUT_SECONDS at most). If the new model is not ready within
# LLAMA_SERVER_START_SECONDS, the old one is started again and this command ends with 1.
#
# If the appliance is not running, its next start serves the model.
set -euo pipefail

# shellcheck source=runtime/supervisor/begin.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../supervisor/begin.sh"

FILE=''
FORCE=''

parse() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --force) FORCE=1 ;;
      -*) usage_error "unknown option: $argument" ;;
      *)
        [ -z "$FILE" ] || usage_error 'name one model only'
        FILE="$(named_model "$argument")"
        ;;
    esac
  done
  [ -n "$FILE" ] || usage_error 'name a model: ./console.sh models lists them'
}

warn_about_configured() {
  local configured
  configured="$(py -m runtime.config get LLAMA_SERVER_MODEL)"
  [ -z "$configured" ] || warn "LLAMA_SERVER_MODEL is set to $configured: the next start serves that model"
}

switch_to() {
  case "$(supervision states)" in
    *'server running'* | *'server starting'*)
      if [ "$1" = "$(cat "$DATA_DIR/model")" ]; then
        say "$1 is served already (./console.sh restart server loads it again)"
        return
      fi
      ;;
  esac
  replace_server "$1"
}

main() {
  local model
  handle_help "$@"
  parse "$@"
  begin_command use
  [ "$LOCAL_SERVER" = 1 ] || die 'the configuration has no server to run here (LLAMA_SERVER_BACKEND_URL)'
  model="$(py -m runtime.models select --model "$FILE")" || exit 1
  [ -n "$FORCE" ] || py -m runtime.library.model_fit "$model" ||
    die "$model was not put to use" '--force uses it anyway'
  if supervisord_runs; then
    switch_to "$model"
    end_command
  else
    remember_model "$model"
    say "the next start serves $model"
  fi
  warn_about_configured
}

main "$@"
