#!/usr/bin/env bash
# Summary: Download a model from the Hugging Face hub into models/
# Usage: ./console.sh pull [REPO [FILE]]
#
# REPO is OWNER/NAME; FILE is one of its GGUF files, or a quantisation such as Q4_K_M. Without FILE the
# repository's models are listed and one is proposed: the largest quantised one whose weights take at most
# half of the memory. You are asked on a terminal; otherwise the proposed one is downloaded. Without REPO
# it is a small instruct model that suits this machine.
#
# Run the same command again to resume an interrupted download. Files are verified (SHA-256), and moved to
# models/ only when they are complete and a model. All parts of a split model are downloaded.
#
# Environment: HF_TOKEN for gated or private repositories, HF_ENDPOINT for a mirror of the hub
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  handle_help "$@"
  init_supervision
  bash "$ROOT/runtime/install.sh"
  cd "$ROOT"
  exec "$PYTHON_BIN" -m runtime.library.pull "$@"
}

main "$@"
