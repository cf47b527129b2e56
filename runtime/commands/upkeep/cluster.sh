#!/usr/bin/env bash
# Summary: Run the engine on several machines, by Ray Serve
# Usage: ./console.sh cluster start [--join HOST:PORT] | status | stop
#
# start makes this machine the head of a cluster, with one replica of the engine at first; with --join it
# becomes a worker of the head at HOST:PORT. Each machine has a checkout, the model, LLAMA_CLUSTER_HOST and the
# head's LLAMA_SERVER_API_KEY and cluster.token (in the data directory). The proxy runs on the head, with
# LLAMA_SERVER_BACKEND_URL. docs/operations.md tells more.
#
# Ray is installed beside the Python environment, at the first start: some 300 MB.
set -euo pipefail

# shellcheck source=runtime/shell/lib.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/../../shell/lib.sh"

# Make the environment with Ray, which uses the other one's packages too. A stamp tells what is installed.
install_ray() {
  local file="$ROOT/runtime/requirements-cluster.txt" folder="$VENV_DIR-cluster" wanted
  wanted="$(cksum <"$file") $("$VENV_DIR/bin/python" -V)"
  [ "$(cat "$folder/llamaserve-installed" 2>/dev/null)" != "$wanted" ] || return 0
  say "installing Ray in $folder"
  "$VENV_DIR/bin/python" -m venv --clear "$folder"
  "$VENV_DIR/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/llamaserve.pth"
  "$folder/bin/python" -m pip install --quiet --no-deps --require-hashes --requirement "$file" >&2 ||
    die 'Ray could not be installed'
  printf '%s\n' "$wanted" >"$folder/llamaserve-installed"
}

main() {
  handle_help "$@"
  case "${1-}" in
    start | status | stop) ;;
    *) usage_error 'say start, status or stop' ;;
  esac
  load_paths
  if [ "$1" = start ]; then
    bash "$ROOT/runtime/install.sh"
    install_ray
  elif [ ! -x "$VENV_DIR-cluster/bin/python" ]; then
    die 'Ray is not installed' './console.sh cluster start installs and starts it'
  fi
  export PYTHONPATH="$ROOT"
  exec "$VENV_DIR-cluster/bin/python" -m runtime.cluster "$@"
}

main "$@"
