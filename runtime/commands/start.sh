#!/usr/bin/env bash
# Summary: Start the appliance: install what is missing, serve a model, wait until it answers
# Usage: ./console.sh start [--model FILE]
#
# FILE is a GGUF file: a path, or a name in models/. Without --model the model is LLAMA_SERVER_MODEL, else
# the one served last, else the only one in models/; if there are several, you are asked. If there is none,
# the small starter model that comes with the appliance is served.
#
# Programs that are already running are left alone, and a changed configuration takes effect only with
# `restart`; programs that are down are started. If something fails, everything that this call has started
# is stopped again.
#
# Environment: every key of runtime/config.env.example, and the variables of runtime/install.sh
set -euo pipefail

# shellcheck source=runtime/supervisor/begin.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../supervisor/begin.sh"

main() {
  local model=''
  handle_help "$@"
  case "$#:${1-}" in
    0:) ;;
    2:--model) model="$(named_model "$2")" ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  begin_command start
  bring_up "$model"
  end_command
}

main "$@"
