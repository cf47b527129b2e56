#!/usr/bin/env bash
# Summary: Show the engines behind the proxy; drain one for maintenance, use it again
# Usage: ./console.sh backends [--json | drain URL | undrain URL]
#
# For each engine of LLAMA_SERVER_BACKENDS: its state (ready, away, drained, other model), the requests of this
# proxy that run there, the slots that this proxy may use and all that it has, and its model. A drained
# engine gets no new requests from any proxy on this database, and keeps that state across restarts; what runs
# there goes on. URL is written as in LLAMA_SERVER_BACKENDS.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  handle_help "$@"
  case "$#:${1-}" in
    0:* | 1:--json | 2:drain | 2:undrain) ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  init_supervision
  py -m runtime.supervisor.backends "$@"
}

main "$@"
