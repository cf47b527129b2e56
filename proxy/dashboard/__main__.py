"""`python -m proxy.dashboard`: serve the dashboard until SIGTERM. With `link`: print a one-time link."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import uvloop

from proxy.dashboard.access.links import make_link
from proxy.dashboard.settings import DashboardSettings
from runtime.config import Config, ConfigError, load


def main(arguments: list[str]) -> int:
    """Run the dashboard, or print a link. Returns 0, 1 when it cannot, 2 for wrong usage."""
    if arguments not in ([], ["link"]):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        config = load()
        return _print_link(config) if arguments else _serve(config)
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
        return 1


def _print_link(config: Config) -> int:
    url = config.dashboard_url
    if not config.text("LLAMA_ADMIN_KEY"):
        print(url)
        return 0
    try:
        print(f"{url}/login?link={make_link(config.run_dir)}")
    except OSError as error:
        print(f"error: no link can be made in {config.run_dir}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def _serve(config: Config) -> int:
    settings = DashboardSettings.from_config(config)
    # NiceGUI reads it when it is imported; nothing of ours is stored there.
    os.environ["NICEGUI_STORAGE_PATH"] = str(Path(os.devnull) / "nicegui")
    from proxy import log_format  # noqa: PLC0415
    from proxy.dashboard.server import StartError, serve  # noqa: PLC0415

    log_format.configure(settings.log_level)
    try:
        uvloop.run(serve(settings))
    except StartError as error:
        logging.getLogger(__name__).critical(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
