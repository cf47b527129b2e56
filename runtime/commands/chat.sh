#!/usr/bin/env bash
# Summary: Talk to the model in the terminal, or ask it what stands on the standard input
# Usage: ./console.sh chat [--key-file FILE]
#
# On a terminal, a conversation: Ctrl-C stops an answer, Ctrl-D leaves, /help lists what else there is.
# Else the whole input is one question, and the answer alone is printed: echo 'Hello' | ./console.sh chat
#
# The key is that in FILE, else LLAMASERVE_API_KEY, else one of the console's own: the user `console` is
# made on the first use, with a key for a week in the data directory's console.key (0600), renewed when it
# no longer works. With LLAMA_PROXY_ENABLED=0 the server is asked, with LLAMA_SERVER_API_KEY.
#
# Environment: LLAMASERVE_API_KEY   a user's key; a command line is no place for one
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"

main() {
  local file=''
  case "$#:${1-}" in
    0:) ;;
    2:--key-file)
      [ -n "$2" ] || usage_error '--key-file needs a file'
      file="$2"
      case "$file" in /* | \~*) ;; *) file="$PWD/$file" ;; esac
      ;;
    # The argument itself may be a key.
    *) usage_error 'chat takes --key-file FILE alone' ;;
  esac
  load_paths
  [ -x "$VENV_DIR/bin/python" ] || die 'not installed yet' './console.sh start installs and starts it'
  cd "$ROOT"
  exec "$VENV_DIR/bin/python" -m runtime.chat ${file:+--key-file "$file"}
}

main "$@"
