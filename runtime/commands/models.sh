#!/usr/bin/env bash
# Summary: List the models: size, architecture, context, whether they fit into memory, which one is in use
# Usage: ./console.sh models [--json]
#
# Whether a model fits is estimated from the file's header: weights, the context of every slot
# (LLAMA_SERVER_N_CTX, LLAMA_SERVER_PARALLEL; where they are not set, what memory allows), buffers and saved
# prompts (LLAMA_SERVER_CACHE_BYTES) against the free memory. `tight` fits as long as few prompts are saved;
# `gpu` fits into the GPU's memory as a whole. Files that cannot be served are listed with the reason.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  handle_help "$@"
  case "$*" in
    '' | --json) ;;
    *) usage_error "unknown arguments: $*" ;;
  esac
  init_supervision
  bash "$ROOT/runtime/install.sh"
  py -m runtime.library.listing "$@"
}

main "$@"
