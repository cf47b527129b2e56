#!/usr/bin/env bash
# Summary: Undo what a caller's session would change in our programs: closed descriptors, others' variables.
#
# To be sourced; lib.sh does.

# A service manager or a daemon may have closed these: the next file that is opened would take their place.
true 3>&2 || exec 2>/dev/null
{ true 3<&0; } 2>/dev/null || exec </dev/null
{ true 3>&1; } 2>/dev/null || exec >/dev/null

# Our environment has its own modules and options. With PYTHONSAFEPATH none of ours would be found.
unset PYTHONHOME PYTHONINSPECT PYTHONIOENCODING PYTHONPATH PYTHONSAFEPATH PYTHONSTARTUP PYTHONUTF8 \
  PYTHONWARNINGS
# libpq reads these beside an address that is complete, and takes them for more important.
unset PGCLIENTENCODING PGHOSTADDR PGOPTIONS PGSERVICE PGTARGETSESSIONATTRS
