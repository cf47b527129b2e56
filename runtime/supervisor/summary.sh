#!/usr/bin/env bash
# shellcheck disable=SC2153 # PROXY and the like are set by read_config in supervise.sh
# Summary: What start, restart and use print at their end: the model, the URLs, an answer, the next commands.
#
# Sourced by begin.sh.

print_model() {
  local model
  model="$(cat "$DATA_DIR/model")"
  printf 'model   %s\n' "$model"
  case "$model" in
    "$ROOT"/models/starter/*)
      printf '        the small starter model, for a first try (./console.sh pull gets a real one)\n'
      ;;
  esac
}

# The link is not for `run`, whose output is kept in logs.
print_dashboard() {
  local url
  url="$(py -m runtime.config get dashboard_url)"
  printf 'pages   %s   (each user logs in with a key)\n' "$url"
  case " $STARTED " in *' dashboard '*) ;; *) return 0 ;; esac
  [ -z "${LLAMASERVE_RUN:-}" ] || return 0
  printf '        %s   (once, as administrator)\n' "$(py -m proxy.dashboard link)"
}

print_summary() {
  local proxy="http://$PROXY_HOST:$PROXY_PORT"
  [ "$LOCAL_SERVER" = 0 ] || print_model
  printf 'server  %s/v1   (its key: LLAMA_SERVER_API_KEY in runtime/config.env)\n' "$BACKEND_URL"
  if [ "$PROXY" = 1 ]; then
    proxy="$(py -m runtime.config get proxy_url)"
    printf 'proxy   %s/v1   (each user has a key: ./bin/user_management_cli.sh create-user)\n' "$proxy"
  fi
  [ "$DASHBOARD" = 0 ] || print_dashboard
  printf 'logs    %s (./console.sh logs -f)\n' "$LOG_DIR"
}

# Let the server that was started answer a question, and print what to do next. Not for `run`, which nobody
# watches, and which may be started often.
show_first_answer() {
  case " $STARTED " in *' server '* | *' proxy '*) ;; *) return 0 ;; esac
  [ -z "${LLAMASERVE_RUN:-}" ] || return 0
  py -m runtime.chat.first_answer || :
  print_next
}

print_next() {
  [ "$PROXY" = 1 ] || return 0
  printf 'next    ./console.sh chat                                               talk to the model\n'
  printf '        ./bin/user_management_cli.sh create-user --username alice       a key, and a curl with it\n'
}
