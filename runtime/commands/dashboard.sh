#!/usr/bin/env bash
# Summary: Print the dashboard's address, with a link that logs the administrator in once
# Usage: ./console.sh dashboard
#
# The link works once, for 15 minutes. Without LLAMA_ADMIN_KEY only the address is printed: log in with the
# key of an administrator (./bin/user_management_cli.sh set-admin makes a user one).
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

main() {
  handle_help "$@"
  [ $# -eq 0 ] || usage_error "unknown arguments: $*"
  init_supervision
  [ -x "$PYTHON_BIN" ] || die 'not installed yet' './console.sh start installs and starts it'
  read_config
  [ "$DASHBOARD" = 1 ] || die 'the dashboard is turned off' 'set LLAMA_DASHBOARD_ENABLED=1, then ./console.sh restart'
  case "$(supervision states)" in
    *'dashboard running'* | *'dashboard starting'*) ;;
    *) die 'the dashboard does not run' './console.sh start starts it' ;;
  esac
  py -m proxy.dashboard link
}

main "$@"
