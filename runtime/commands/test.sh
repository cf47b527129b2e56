#!/usr/bin/env bash
# Summary: Run the tests (pytest); arguments are passed on
# Usage: ./console.sh test [PYTEST-ARGUMENT …]
#
# Without arguments all tests run, as many files at a time as there are cores, four at most. Arguments
# are pytest's: tests/proxy, -k window, …; add -n auto --dist loadfile to them for the same.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  bash "$ROOT/runtime/install.sh" --with tests
  load_paths
  cd "$ROOT"
  [ $# -gt 0 ] || set -- -n auto --maxprocesses 4 --dist loadfile
  exec "$VENV_DIR/bin/python" -m pytest "$@"
}

main "$@"
