#!/usr/bin/env bash
# Summary: Submit a file of prompts as a batch, watch it, and fetch its results.
# Usage: bin/batch.sh submit FILE.jsonl|FILE.csv [--wait] [OPTION ...]
#        bin/batch.sh list | status ID | wait ID | results ID | cancel ID
#   (COMMAND --help lists a command's options)
# Environment: OPENAI_BASE_URL   the server (http://127.0.0.1:8001/v1)
#              OPENAI_API_KEY    your key
#
# The directory batch/ beside it needs nothing but Python: python -m batch runs it on any machine.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/../runtime/shell/lib.sh"
# shellcheck source=runtime/shell/python.sh
source "$ROOT/runtime/shell/python.sh"

main() {
  local python
  load_paths
  python="$VENV_DIR/bin/python"
  [ -x "$python" ] || python="$(find_python)"
  export PYTHONPATH="$ROOT/bin"
  exec "$python" -m batch "$@"
}

main "$@"
