"""`python -m proxy`: run the auth proxy with the checkout's configuration, until SIGTERM."""

from __future__ import annotations

import logging
import sys

import uvloop

from proxy import logs
from proxy.config import ProxySettings
from proxy.server import StartError, serve
from runtime.config import load
from runtime.env_file import ConfigError


def main() -> int:
    """1 when the configuration is bad or the proxy cannot start."""
    try:
        config = load()
        settings = ProxySettings.from_config(config)
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
        return 1
    logs.configure(settings.log_level)
    logger = logging.getLogger("proxy")
    for warning in config.warnings:
        logger.warning(warning)
    try:
        uvloop.run(serve(settings))
    except StartError as error:
        logger.critical(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
