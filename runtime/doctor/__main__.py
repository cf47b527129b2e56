"""`python -m runtime.doctor [--json]`: also reports an environment in which doctor itself cannot run."""

from __future__ import annotations

import json
import sys


def _cannot_run(error: Exception) -> int:
    reason = (str(error).splitlines() or [""])[0]
    text = f"the Python environment does not work ({type(error).__name__}: {reason})"
    remedy = "remove it (runtime/.venv, or LLAMA_VENV_DIR), then ./console.sh start"
    if sys.argv[1:] == ["--json"]:
        where = {"group": "installation", "check": "packages", "level": "problem"}
        print(json.dumps({"ok": False, "findings": [{**where, "text": text, "remedy": remedy}]}))
    else:
        print(f"installation\n  problem  {text}\n           → {remedy}\n\n1 problem")
    return 1


def main() -> int:
    """Run all checks, if they can be imported: a damaged package may fail in any way."""
    try:
        from runtime.doctor import examination  # noqa: PLC0415
    except Exception as error:
        return _cannot_run(error)
    return examination.main(sys.argv[1:])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
