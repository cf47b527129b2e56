#!/usr/bin/env bash
# Summary: Start the appliance with the machine, by systemd
# Usage: ./console.sh service install|remove|print
#
# install writes a unit, checks it with systemd-analyze, and enables it: for root a unit of the system, which
# runs as the owner of the checkout; for another user a unit of that user. It starts with the next boot (or
# login), or now: systemctl [--user] start llamaserve. print only shows the unit. remove stops and removes it.
#
# Environment: SYSTEMD_UNIT_PATH   the directory for the unit, instead of systemd's own
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

NAME='llamaserve.service'

# Set UNIT, the unit's file, and CONTROLLER, the systemctl that knows it.
find_place() {
  local folder=/etc/systemd/system
  CONTROLLER=(systemctl)
  if [ "$(id -u)" -ne 0 ]; then
    folder="${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user"
    CONTROLLER=(systemctl --user)
  fi
  UNIT="${SYSTEMD_UNIT_PATH:-$folder}"
  UNIT="${UNIT%%:*}/$NAME"
}

print_unit() {
  local owner
  if [ "$(id -u)" -ne 0 ]; then
    py -m runtime.upkeep.unit user
  else
    read -r _ _ owner _ <<<"$(ls -ld "$ROOT")"
    py -m runtime.upkeep.unit system "$owner"
  fi
}

# Exit 1 if the unit belongs to another checkout.
refuse_other() {
  [ -e "$UNIT" ] || return 0
  grep -qxF "WorkingDirectory=${ROOT//%/%%}" "$UNIT" ||
    die "$UNIT belongs to another checkout" "$(sed -n 's/^WorkingDirectory=//p' "$UNIT")/console.sh service remove"
}

install_unit() {
  local text
  command -v systemctl >/dev/null 2>&1 || die 'this machine has no systemd' './console.sh service print shows the unit'
  refuse_other
  text="$(print_unit)" || exit 1
  mkdir -p "$(dirname "$UNIT")"
  require_writable "$(dirname "$UNIT")"
  printf '%s\n' "$text" >"$UNIT"
  if command -v systemd-analyze >/dev/null 2>&1 && ! env -u SYSTEMD_UNIT_PATH systemd-analyze verify "$UNIT" >&2; then
    rm -f "$UNIT"
    die 'systemd does not accept the unit; it was removed'
  fi
  "${CONTROLLER[@]}" daemon-reload || warn 'systemd was not told: systemctl daemon-reload does that'
  "${CONTROLLER[@]}" enable "$NAME" >&2 || warn "the unit is not enabled: ${CONTROLLER[*]} enable $NAME does that"
  say "wrote $UNIT. To start it now: ./console.sh stop; ${CONTROLLER[*]} start llamaserve"
  [ "${#CONTROLLER[@]}" -eq 1 ] || say "To run without a login: loginctl enable-linger $(id -un)"
}

remove_unit() {
  if [ ! -e "$UNIT" ]; then
    say "there is no $UNIT"
    return
  fi
  refuse_other
  "${CONTROLLER[@]}" disable --now "$NAME" >&2 || warn 'systemd did not stop it: ./console.sh stop does that'
  rm -f "$UNIT"
  "${CONTROLLER[@]}" daemon-reload || :
  say "removed $UNIT"
}

main() {
  handle_help "$@"
  case "$*" in
    install | remove | print) ;;
    *) usage_error 'say install, remove or print' ;;
  esac
  init_supervision
  [ -x "$PYTHON_BIN" ] || die 'not installed yet' './console.sh start installs and starts it'
  find_place
  case "$1" in
    install) install_unit ;;
    remove) remove_unit ;;
    print) print_unit ;;
  esac
}

main "$@"
