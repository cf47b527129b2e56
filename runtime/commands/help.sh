#!/usr/bin/env bash
# Summary: Show what each command does
# Usage: ./console.sh help [COMMAND]
#
# The directory runtime/commands/, with its upkeep/, has one file for each command of console.sh. The comment at the top of a
# file is its documentation: `# Summary:` is shown in the list, all of it by `help COMMAND`.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

list_commands() {
  local file
  printf 'usage: ./console.sh COMMAND [ARGUMENT …]\n\n'
  for file in "$ROOT"/runtime/commands/*.sh "$ROOT"/runtime/commands/upkeep/*.sh; do
    printf '  %-11s %s\n' "$(basename "$file" .sh)" "$(header_of "$file" Summary)"
  done
  printf '\n./console.sh help COMMAND explains a command. Configuration: runtime/config.env.example\n'
}

main() {
  local folder
  [ $# -le 1 ] || usage_error 'help takes at most one command'
  handle_help "$@"
  if [ $# -eq 0 ]; then
    list_commands
    return
  fi
  case "$1" in *[!a-z-]*) usage_error "unknown command: $1" ;; esac
  for folder in commands commands/upkeep; do
    if [ -f "$ROOT/runtime/$folder/$1.sh" ]; then
      show_header "$ROOT/runtime/$folder/$1.sh"
      return
    fi
  done
  usage_error "unknown command: $1"
}

main "$@"
