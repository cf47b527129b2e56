#!/usr/bin/env bash
# Summary: Show what each command does
# Usage: ./console.sh help [COMMAND]
#
# The directory runtime/commands/ has one file for each command of console.sh. The comment at the top of a
# file is its documentation: `# Summary:` is shown in the list, all of it by `help COMMAND`.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

list_commands() {
  local file
  printf 'usage: ./console.sh COMMAND [ARGUMENT …]\n\n'
  for file in "$ROOT"/runtime/commands/*.sh; do
    printf '  %-11s %s\n' "$(basename "$file" .sh)" "$(header_of "$file" Summary)"
  done
  printf '\n./console.sh help COMMAND explains a command. Configuration: runtime/config.env.example\n'
}

main() {
  [ $# -le 1 ] || usage_error 'help takes at most one command'
  handle_help "$@"
  if [ $# -eq 0 ]; then
    list_commands
    return
  fi
  case "$1" in *[!a-z-]*) usage_error "unknown command: $1" ;; esac
  [ -f "$ROOT/runtime/commands/$1.sh" ] || usage_error "unknown command: $1"
  show_header "$ROOT/runtime/commands/$1.sh"
}

main "$@"
