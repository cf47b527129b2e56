#!/usr/bin/env bash
# Summary: Chat with the model in the terminal, or ask it one question from standard input
# Usage: ./console.sh chat [--key-file FILE]
#
# On a terminal it is a conversation: Ctrl-C stops an answer, Ctrl-D leaves, /help lists the commands.
# Otherwise standard input is one question, and only the answer is printed: echo 'Hello' | ./console.sh chat
#
# The key is read from FILE, else from LLAMASERVE_API_KEY. Otherwise the console uses its own user,
# `console`, which is created on first use; its key is valid for a week, kept in console.key (mode 0600) in
# the data directory, and renewed when it no longer works. With LLAMA_PROXY_ENABLED=0 the model server is
# asked directly, with LLAMA_SERVER_API_KEY.
#
# Environment: LLAMASERVE_API_KEY   a user's key; other users can see the arguments of a command line
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  local file=''
  handle_help "$@"
  case "$#:${1-}" in
    0:) ;;
    2:--key-file)
      [ -n "$2" ] || usage_error '--key-file needs a file'
      file="$2"
      case "$file" in /* | \~*) ;; *) file="$PWD/$file" ;; esac
      ;;
    # The arguments are not shown: one of them may be a key.
    *) usage_error 'the only option is --key-file FILE' ;;
  esac
  load_paths
  [ -x "$VENV_DIR/bin/python" ] || die 'not installed yet' './console.sh start installs and starts it'
  cd "$ROOT"
  exec "$VENV_DIR/bin/python" -m runtime.chat ${file:+--key-file "$file"}
}

main "$@"
