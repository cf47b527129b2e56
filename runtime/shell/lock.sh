#!/usr/bin/env bash
# Summary: Locks between shell scripts: take_lock, release_lock, lock_holder.
#
# To be sourced after lib.sh. A lock is a symbolic link whose target is `PID:PURPOSE`: made in one
# step, content included, so that there is no moment at which a lock has no owner (a directory with
# a pid file inside has one), and flock is not everywhere.

# lock_holder LOCK: print `PID:PURPOSE` of the living process that holds it, else nothing.
lock_holder() {
  local target
  target="$(readlink "$1" 2>/dev/null)" || return 0
  # The number alone may be another process's by now: ours run a script of some runtime/ directory.
  case "$(command_of "${target%%:*}")" in
    *runtime/*.sh*) printf '%s' "$target" ;;
  esac
}

# take_lock LOCK PURPOSE: wait for it as long as its holder lives.
#
# The caller releases it, also on a signal; the lock of a killed holder is taken over.
take_lock() {
  local holder told='' stale
  while ! ln -s "$$:$2" "$1" 2>/dev/null; do
    [ -L "$1" ] || [ -w "$(dirname "$1")" ] || die "cannot write in $(dirname "$1")"
    holder="$(lock_holder "$1")"
    [ "${holder%%:*}" != "$$" ] || return 0
    if [ -z "$holder" ]; then
      # Moved away before it is removed: of several that find it stale, one gets to remove it.
      stale="$1.stale.$$"
      mv -f "$1" "$stale" 2>/dev/null && rm -f "$stale"
      continue
    fi
    [ -n "$told" ] || say "waiting for another ${holder#*:} (pid ${holder%%:*}) to end"
    told=1
    sleep 0.2
  done
}

# release_lock LOCK: only one's own.
release_lock() {
  case "$(readlink "$1" 2>/dev/null)" in
    "$$:"*) rm -f "$1" ;;
  esac
}
