#!/usr/bin/env bash
# Summary: Start the appliance: install what is missing, serve a model, wait until it answers
# Usage: ./console.sh start [--model FILE]
#
# FILE is a GGUF file: a path, or a name in models/. Without --model it is LLAMA_SERVER_MODEL, else
# the one served last, else the only one in models/, else you are asked; where there is none, the small
# starter model that comes with the appliance.
#
# Where all runs already, nothing is done, and a changed configuration waits for `restart`; where a part
# is down, that part is started. If something fails, what this call has started is stopped again.
#
# Environment: any key of runtime/config.env.example, and what runtime/install.sh names
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"
# shellcheck source=runtime/supervisor/bring_up.sh
. "$ROOT/runtime/supervisor/bring_up.sh"

main() {
  local model=''
  case "$#:${1-}" in
    0:) ;;
    2:--model) model="$(named_model "$2")" ;;
    *) usage_error "cannot be understood: $*" ;;
  esac
  init_supervision
  make_dirs
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  take_lock "$RUN_DIR/lock" start
  install
  py -m runtime.config check
  read_config
  bring_up "$model"
  release_lock "$RUN_DIR/lock"
  print_summary
}

main "$@"
