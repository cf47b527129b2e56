#!/usr/bin/env bash
# Summary: Tell what each command does
# Usage: ./console.sh help [COMMAND]
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

list_commands() {
  local file
  printf 'usage: ./console.sh COMMAND [ARGUMENT …]\n\n'
  for file in "$ROOT"/runtime/commands/*.sh; do
    printf '  %-9s %s\n' "$(basename "$file" .sh)" "$(header_of "$file" Summary)"
  done
  printf '\n./console.sh help COMMAND tells more. Configuration: runtime/config.env.example\n'
}

# The header of a command's file is its documentation: the comment lines that follow the first.
show_command() {
  sed -n -e '1d' -e '/^#/!q' -e 's/^# \{0,1\}//' -e 's/^Summary: //' -e p "$1"
}

main() {
  [ $# -le 1 ] || usage_error 'help takes one command at most'
  if [ $# -eq 0 ]; then
    list_commands
    return
  fi
  case "$1" in *[!a-z]*) usage_error "unknown command: $1" ;; esac
  [ -f "$ROOT/runtime/commands/$1.sh" ] || usage_error "unknown command: $1"
  show_command "$ROOT/runtime/commands/$1.sh"
}

main "$@"
