#!/usr/bin/env bash
# Summary: Measure what the proxy costs a request, compared with other gateways, and more
# Usage: ./console.sh bench [SCENARIO …] [--peers nginx,router,litellm,portkey] [--peers-dir DIR]
#                           [--rounds N] [--seconds N] [--load wrk|loop] [--json FILE] [--svg FILE]
#        ./console.sh bench NAME [ARGUMENT …]   engine, fairness, records, threads, guesses, attacks,
#            backends, batch, batch_kills, bodies, chaos, cluster, company, dashboard, simulation, soak, hostile,
#            slow_readers, bad_connections, embeddings, tools, templates, schemas or first_start
#
# The first form puts our proxy, with its database and records, and each installed peer in front of a mock
# engine that answers at once, and sends requests to each in turn with wrk, or with a loop of its own if
# there is no wrk. All scenarios run by default: chat stream paced large-prompt large-answer idle-streams
# users shared wrong-keys. They are defined in tests/bench/gateway/scenarios.py; tests/bench/README.md
# explains the figures. For peers that are missing, the command that installs them is printed.
#
# The second form runs the measurement of that name in tests/bench/; the top of its file explains it.
#
# A running appliance is neither used nor changed. On a busy machine all figures are high: trust ratios.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  handle_help "$@"
  bash "$ROOT/runtime/install.sh" --with tests
  load_paths
  # Relative paths in the arguments start at the user's directory, so it must not change.
  export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
  exec "$VENV_DIR/bin/python" -m tests.bench "$@"
}

main "$@"
