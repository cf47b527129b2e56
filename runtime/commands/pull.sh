#!/usr/bin/env bash
# Summary: Fetch a model from the Hugging Face hub into models/
# Usage: ./console.sh pull [REPO [FILE]]
#
# REPO is OWNER/NAME; FILE one of its GGUF files, or a quantisation such as Q4_K_M. Without FILE its
# models are listed and one is proposed: the largest quantised one whose weights take half of the memory
# at most. A terminal is asked; without one, the proposed one is fetched. Without REPO, a small instruct
# model that suits this machine.
#
# An interrupted pull is gone on with by the same command. What comes is verified (SHA-256), and is in
# models/ only when it is whole and a model. All parts of a split model are fetched.
#
# Environment: HF_TOKEN for gated or private repositories, HF_ENDPOINT for a mirror of the hub
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  init_supervision
  bash "$ROOT/runtime/install.sh"
  cd "$ROOT"
  exec "$PYTHON_BIN" -m runtime.library.pull "$@"
}

main "$@"
