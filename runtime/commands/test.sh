#!/usr/bin/env bash
# Summary: Run the tests (pytest); arguments are passed on
# Usage: ./console.sh test [PYTEST-ARGUMENT …]
set -euo pipefail

# shellcheck source=runtime/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../lib.sh"

main() {
  bash "$ROOT/runtime/install.sh" --with tests
  load_paths
  cd "$ROOT"
  exec "$VENV_DIR/bin/python" -m pytest "$@"
}

main "$@"
