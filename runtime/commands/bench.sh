#!/usr/bin/env bash
# Summary: Measure what the proxy costs a request, beside other gateways; and more
# Usage: ./console.sh bench [SCENARIO …] [--peers nginx,router,litellm,portkey] [--peers-dir DIR]
#                           [--rounds N] [--seconds N] [--load wrk|loop] [--json FILE] [--svg FILE]
#        ./console.sh bench engine|fairness|records|threads|guesses|attacks|chaos|hostile [ARGUMENT …]
#
# The first form puts our proxy, with its database and records, and each peer that is installed in front
# of a mock that answers at once, and asks them in turn with wrk, or with a loop of its own where there
# is no wrk. Scenarios, all by default: chat stream paced large-prompt large-answer idle-streams users
# shared wrong-keys; tests/bench/gateway/scenarios.py has them, tests/bench/README.md says what the
# figures mean. How to install what is absent is printed.
#
# The second form runs the measurement of that name in tests/bench/; the first lines of its file tell
# what it measures.
#
# Nothing of a running appliance is used or changed. Figures of a busy machine are high: believe ratios.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  bash "$ROOT/runtime/install.sh" --with tests
  load_paths
  # Files that are named count from where the user is.
  export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
  exec "$VENV_DIR/bin/python" -m tests.bench "$@"
}

main "$@"
