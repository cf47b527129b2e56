#!/usr/bin/env bash
# Summary: Get the newest version and serve it; go back to the one before if it fails
# Usage: ./console.sh upgrade
#
# Runs git pull in the checkout, which must not have changed files. What the new version needs is installed
# while the old one still serves; then everything is restarted. If that fails, the old version is brought
# back and started again. The database and the configuration are saved first, in before-upgrade.tar.gz in
# the data directory: a new version may change the database's tables, which an old one refuses.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"
# shellcheck source=runtime/supervisor/supervise.sh
. "$ROOT/runtime/supervisor/supervise.sh"

OLD=''
WAS_RUNNING=''
SAVED=''

in_git() { git -C "$ROOT" "$@"; }

check_checkout() {
  local changed
  command -v git >/dev/null 2>&1 || die 'git is not installed'
  in_git rev-parse --git-dir >/dev/null 2>&1 || die "$ROOT is not a git checkout" \
    'get the new version beside it, and use backup and restore'
  in_git rev-parse --verify --quiet '@{upstream}' >/dev/null ||
    die 'the checkout follows no branch of a remote' \
      'git switch BRANCH chooses one that does; git branch --set-upstream-to makes this one follow another'
  changed="$(in_git status --porcelain --untracked-files=no)"
  [ -z "$changed" ] || die 'files of the checkout were changed:' "$changed" \
    'git stash puts the changes away'
}

# Save what a failed upgrade may have to bring back.
save() {
  SAVED="$DATA_DIR/before-upgrade.tar.gz"
  rm -f "$SAVED"
  bash "$ROOT/console.sh" backup "$SAVED" --without-files || die 'nothing was upgraded'
}

go_back() {
  trap '' INT TERM
  say "going back to $(in_git rev-parse --short "$OLD")"
  in_git reset --quiet --hard "$OLD"
  if [ -z "$WAS_RUNNING" ]; then
    bash "$ROOT/runtime/install.sh" || :
  elif ! bash "$ROOT/console.sh" restart; then
    say 'the old version does not start with the database of the new one'
    if ! bash "$ROOT/console.sh" restore "$SAVED" --yes || ! bash "$ROOT/console.sh" start; then
      die 'the old version could not be started either' "the database before the upgrade: $SAVED"
    fi
  fi
  die 'the new version could not be used; the old one is back'
}

# serve_new: install and start the new version, with its own scripts.
serve_new() {
  if [ -n "$WAS_RUNNING" ]; then
    bash "$ROOT/console.sh" restart
  else
    bash "$ROOT/runtime/install.sh"
  fi
}

main() {
  handle_help "$@"
  [ $# -eq 0 ] || usage_error "unknown arguments: $*"
  check_checkout
  init_supervision
  OLD="$(in_git rev-parse HEAD)"
  in_git fetch --quiet || die 'the new version cannot be fetched' 'check the network, and git remote -v'
  if [ "$(in_git rev-list --count 'HEAD..@{upstream}')" -eq 0 ]; then
    say "this is the newest version ($(in_git rev-parse --short HEAD))"
    return
  fi
  in_git merge-base --is-ancestor HEAD '@{upstream}' ||
    die 'the checkout has commits of its own: git rebase first'
  if supervisord_runs; then
    WAS_RUNNING=1
    save
  fi
  trap 'go_back' INT TERM
  in_git merge --quiet --ff-only '@{upstream}' || go_back
  in_git --no-pager log --oneline -n 20 "$OLD..HEAD" >&2 || :
  serve_new || go_back
  say "upgraded to $(in_git rev-parse --short HEAD)"
}

main "$@"
