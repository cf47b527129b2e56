#!/usr/bin/env bash
# Summary: Locks between shell scripts: take_lock, release_lock, lock_holder.
#
# To be sourced after lib.sh. A lock is a symbolic link whose target is `PID:START:PURPOSE`. A link is made
# in one step together with its content, so a lock always names its owner (a directory with a pid file
# inside does not), and flock is not available everywhere.
#
# START is when the process started. The pid alone may belong to another process by now: runtime/run
# outlives a reboot, and pids are used again.

# start_of PID: print when the process started, in a form that is only good for comparison; nothing if
# there is no such process, or it is a zombie.
start_of() {
  local stat fields
  if [ -r /proc/self/stat ]; then
    stat="$(cat "/proc/$1/stat" 2>/dev/null)" || return 0
    # The name in field 2 stands in parentheses and may contain blanks (proc_pid_stat(5)). Field 3 is the
    # state, field 22 the start in clock ticks since the boot, which the boot's id makes unique.
    read -r -a fields <<<"${stat##*) }"
    [ "${fields[0]}" != Z ] || return 0
    printf '%s-%s' "$(cat /proc/sys/kernel/random/boot_id 2>/dev/null || :)" "${fields[19]}"
  else
    [ -n "$(command_of "$1")" ] || return 0
    { TZ=UTC0 LC_ALL=C ps -o lstart= -p "$1" 2>/dev/null || :; } | tr -cs '[:alnum:]' '-'
  fi
}

# lock_holder LOCK: print `PID:PURPOSE` of the living process that holds the lock, else nothing.
lock_holder() {
  local target pid started
  target="$(readlink "$1" 2>/dev/null)" || return 0
  pid="${target%%:*}" started="${target#*:}"
  started="${started%:*}"
  case "$pid" in '' | *[!0-9]*) return 0 ;; esac
  [ -n "$started" ] && [ "$(start_of "$pid")" = "$started" ] || return 0
  printf '%s:%s' "$pid" "${target##*:}"
}

# take_lock LOCK PURPOSE: take the lock, after its holder if there is one.
#
# The caller must release it, also after a signal. The lock of a process that was killed is taken over. If no
# lock can be created, exits 1; with LLAMASERVE_LENIENT set, warns and goes on without a lock.
take_lock() {
  local holder announced='' start found reason failures=0
  start="$(start_of $$)"
  while ! reason="$(ln -s "$$:$start:$2" "$1" 2>&1)"; do
    if ! found="$(readlink "$1" 2>/dev/null)"; then
      # It was released in between, or it cannot be created.
      failures=$((failures + 1))
      [ "$failures" -ge 20 ] || continue
      [ -z "${LLAMASERVE_LENIENT:-}" ] || { warn "no lock: ${reason##*: }" && return; }
      die "the lock $1 cannot be created: ${reason##*: }"
    fi
    holder="$(lock_holder "$1")"
    [ "${holder%%:*}" != "$$" ] || return 0
    if [ -z "$holder" ]; then
      remove_stale "$1" "$found"
      continue
    fi
    [ -n "$announced" ] || say "waiting for another ${holder#*:} (pid ${holder%%:*}) to end"
    announced=1
    sleep 0.2
  done
}

# remove_stale LOCK TARGET: remove a lock without a holder, if it still has this target.
#
# Moved away first: only one of several processes that find it stale gets it. If another one was quicker
# and has taken the lock by then, that one's lock is put back.
remove_stale() {
  local stale="$1.stale.$$" moved
  mv -f "$1" "$stale" 2>/dev/null || return 0
  moved="$(readlink "$stale")"
  rm -f "$stale"
  [ "$moved" = "$2" ] || ln -s "$moved" "$1" 2>/dev/null || :
}

# release_lock LOCK: remove the lock if this process holds it.
release_lock() {
  case "$(readlink "$1" 2>/dev/null)" in
    "$$:"*) rm -f "$1" ;;
  esac
}
