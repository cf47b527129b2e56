#!/usr/bin/env bash
# Summary: List the models there are: size, kind, context, whether they fit this machine, which is in use
# Usage: ./console.sh models [--json]
#
# What fits is an estimate from the file's header: weights, context (LLAMA_SERVER_N_CTX), buffers and
# saved prompts (LLAMA_SERVER_CACHE_BYTES) beside the memory that is free. `tight` fits as long as few
# prompts are saved; `gpu` fits in the GPU's memory as a whole. Files that cannot be served are named with
# the reason.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  case "$*" in
    '' | --json) ;;
    *) usage_error "cannot be understood: $*" ;;
  esac
  init_supervision
  bash "$ROOT/runtime/install.sh"
  py -m runtime.library.listing "$@"
}

main "$@"
