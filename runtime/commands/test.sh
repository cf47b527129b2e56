#!/usr/bin/env bash
# Summary: Run the tests (pytest); arguments are passed to pytest
# Usage: ./console.sh test [PYTEST-ARGUMENT …]
#
# Without arguments all tests run, several files at a time: one more than there are cores, since tests often
# wait, but four at most. With
# arguments (tests/proxy, -k window, …) they run one after the other; add -n auto --dist loadfile to run
# several files at a time.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  local workers
  workers="$(($(getconf _NPROCESSORS_ONLN) + 1))"
  bash "$ROOT/runtime/install.sh" --with tests
  load_paths
  cd "$ROOT"
  [ $# -gt 0 ] || set -- -n "$((workers < 4 ? workers : 4))" --dist loadfile --no-loadscope-reorder
  exec "$VENV_DIR/bin/python" -m pytest "$@"
}

main "$@"
