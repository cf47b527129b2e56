#!/usr/bin/env bash
# Summary: Show the last lines of the logs; -f follows them
# Usage: ./console.sh logs [-f] [server|proxy|dashboard|postgres|supervisord|install]
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  local follow='' names='' name
  handle_help "$@"
  for name in "$@"; do
    case "$name" in
      -f) follow=1 ;;
      server | proxy | dashboard | postgres | supervisord | install) names="$names $name" ;;
      *) usage_error "unknown argument: $name" ;;
    esac
  done
  load_paths
  [ -n "$names" ] || names='postgres server proxy dashboard'
  set --
  for name in $names; do
    [ ! -f "$LOG_DIR/$name.log" ] || set -- "$@" "$LOG_DIR/$name.log"
  done
  [ $# -gt 0 ] || die "there are no logs in $LOG_DIR yet"
  # -F follows the name: when a log is rotated, its new file is followed.
  [ -z "$follow" ] || exec tail -n 20 -F "$@"
  for name in "$@"; do
    [ $# -eq 1 ] || printf '==> %s <==\n' "$name"
    tail -n 100 "$name"
  done
}

main "$@"
