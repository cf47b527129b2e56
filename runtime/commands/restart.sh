#!/usr/bin/env bash
# Summary: Restart the appliance or one part of it, with another model if wanted
# Usage: ./console.sh restart [server|proxy|postgres] [--model FILE]
#
# Without a part, everything: that is also how a changed configuration takes effect; for some seconds
# connections are refused. A part reads the files anew, but keeps the environment of the last start.
# --model restarts the server alone, as `use` does, but of too little memory it only warns. A bad
# configuration or model is refused before anything is stopped. While the proxy alone restarts, new
# connections wait; while the server does, requests that had no turn yet. A server that does not come up
# with another model gets the one before again.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../shell/lib.sh"
# shellcheck source=runtime/shell/lock.sh
. "$ROOT/runtime/shell/lock.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"
# shellcheck source=runtime/supervisor/bring_up.sh
. "$ROOT/runtime/supervisor/bring_up.sh"
# shellcheck source=runtime/supervisor/replace_server.sh
. "$ROOT/runtime/supervisor/replace_server.sh"

PART=''
MODEL=''

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      server | proxy | postgres)
        [ -z "$PART" ] || usage_error 'one part at a time'
        PART="$1"
        shift
        ;;
      --model)
        [ $# -ge 2 ] || usage_error '--model needs a file'
        MODEL="$(named_model "$2")"
        shift 2
        ;;
      *) usage_error "cannot be understood: $1" ;;
    esac
  done
  [ -z "$MODEL" ] || PART="${PART:-server}"
  [ -z "$MODEL" ] || [ "$PART" = server ] || usage_error '--model goes with the server'
}

restart_all() {
  stop_all
  bring_up "$1"
}

# What supervisord was started with, it keeps: the proxy's port, and how long its drain may take.
proxy_settings_changed() {
  [ "$(head -n 2 "$RUN_DIR/started_with" 2>/dev/null)" != \
    "$LLAMASERVE_PROXY_SOCKET"$'\n'"$LLAMASERVE_PROXY_STOP_SECONDS" ]
}

restart_part() {
  case " $WANTED " in *" $PART "*) ;; *) die "the configuration has no $PART to run here" ;; esac
  if [ "$PART" = proxy ] && proxy_settings_changed; then
    say "the proxy's address or drain has changed: restarting everything"
    restart_all ''
    return
  fi
  case "$PART" in
    server)
      warn_of_memory "$1"
      replace_server "$1"
      return
      ;;
    proxy) supervision pause proxy ;;
    postgres)
      supervision stop postgres
      bash "$ROOT/runtime/postgres/control.sh" init
      ;;
  esac
  supervision start "$PART"
  wait_for "$PART" "$START_SECONDS"
}

main() {
  local model=''
  parse "$@"
  init_supervision
  make_dirs
  trap clean_up_replacement EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  take_lock "$RUN_DIR/lock" restart
  # Before anything is installed for it.
  [ -z "$PART" ] || supervisord_runs || die 'the appliance does not run' './console.sh start starts it'
  install
  py -m runtime.config check
  read_config
  case "$PART:$LOCAL_SERVER" in
    :1 | server:1) model="$(py -m runtime.models.selection select ${MODEL:+--model "$MODEL"})" || exit 1 ;;
  esac
  if [ -z "$PART" ]; then restart_all "$model"; else restart_part "$model"; fi
  release_lock "$RUN_DIR/lock"
  print_summary
}

main "$@"
