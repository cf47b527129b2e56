#!/usr/bin/env bash
# Summary: Show the last lines of the logs, and go on with -f
# Usage: ./console.sh logs [-f] [server|proxy|postgres|supervisord|install]
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  local follow='' names='' name
  for name in "$@"; do
    case "$name" in
      -f) follow=1 ;;
      server | proxy | postgres | supervisord | install) names="$names $name" ;;
      *) usage_error "cannot be understood: $name" ;;
    esac
  done
  load_paths
  [ -n "$names" ] || names='postgres server proxy'
  set --
  for name in $names; do
    [ ! -f "$LOG_DIR/$name.log" ] || set -- "$@" "$LOG_DIR/$name.log"
  done
  [ $# -gt 0 ] || die "there are no logs in $LOG_DIR yet"
  # By name (-F): a rotated log goes on in a new file.
  [ -z "$follow" ] || exec tail -n 20 -F "$@"
  for name in "$@"; do
    [ $# -eq 1 ] || printf '==> %s <==\n' "$name"
    tail -n 100 "$name"
  done
}

main "$@"
