#!/usr/bin/env bash
# Summary: Restart the appliance or one part of it, optionally with another model
# Usage: ./console.sh restart [server|proxy|postgres|dashboard] [--model FILE]
#
# Without a part everything is restarted, and a changed configuration takes effect; connections are refused
# for some seconds. A single part reads the configuration files again, but keeps the environment of the
# last start. --model restarts the server alone, as `use` does, but too little memory only causes a
# warning. A bad configuration or model is refused before anything is stopped. While only the proxy
# restarts, new connections wait; while the server restarts, new requests wait. If the server does not
# become ready with another model, the model before is served again.
set -euo pipefail

# shellcheck source=runtime/supervisor/begin.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../supervisor/begin.sh"

PART=''
MODEL=''

parse() {
  while [ $# -gt 0 ]; do
    case "$1" in
      server | proxy | postgres | dashboard)
        [ -z "$PART" ] || usage_error 'name one part only'
        PART="$1"
        shift
        ;;
      --model)
        [ $# -ge 2 ] || usage_error '--model needs a file'
        MODEL="$(named_model "$2")"
        shift 2
        ;;
      *) usage_error "unknown argument: $1" ;;
    esac
  done
  [ -z "$MODEL" ] || PART="${PART:-server}"
  [ -z "$MODEL" ] || [ "$PART" = server ] || usage_error '--model can only be used with the server'
}

require_running() {
  [ -z "$PART" ] || supervisord_runs || die 'the appliance is not running' './console.sh start starts it'
}

restart_all() {
  stop_all
  bring_up "$1"
}

# supervisord keeps what it was started with: the proxy's port, and how long its drain may take.
proxy_settings_changed() {
  [ "$(head -n 2 "$RUN_DIR/started_with" 2>/dev/null)" != \
    "$LLAMASERVE_PROXY_SOCKET"$'\n'"$LLAMASERVE_PROXY_STOP_SECONDS" ]
}

restart_part() {
  case " $WANTED " in *" $PART "*) ;; *) die "the configuration has no $PART to run here" ;; esac
  if [ "$PART" = proxy ] && proxy_settings_changed; then
    say "the proxy's address or drain time has changed: restarting everything"
    restart_all ''
    return
  fi
  case "$PART" in
    server)
      warn_about_memory "$1"
      replace_server "$1"
      return
      ;;
    proxy) supervision pause proxy ;;
    postgres)
      supervision stop postgres
      with_default_signals bash "$ROOT/runtime/postgres/control.sh" init
      ;;
  esac
  supervision start "$PART"
  wait_for "$PART" "$START_SECONDS"
}

main() {
  local model=''
  handle_help "$@"
  parse "$@"
  begin_command restart require_running
  case "$PART:$LOCAL_SERVER" in
    :1 | server:1) model="$(py -m runtime.models select ${MODEL:+--model "$MODEL"})" || exit 1 ;;
  esac
  if [ -z "$PART" ]; then restart_all "$model"; else restart_part "$model"; fi
  end_command
}

main "$@"
