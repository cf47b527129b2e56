"""`python -m proxy`: run the auth proxy with the checkout's configuration, until SIGTERM."""

from __future__ import annotations

import logging
import os
import sys

import uvloop

from proxy.settings import ProxySettings
from runtime.config import ConfigError, load


def main() -> int:
    """Run the proxy. Returns the exit status: 1 when the configuration is bad or it cannot start."""
    _import_aiohttp()
    from proxy import log_format  # noqa: PLC0415 - these import it
    from proxy.server import StartError, serve  # noqa: PLC0415

    try:
        config = load()
        settings = ProxySettings.from_config(config)
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
        return 1
    log_format.configure(settings.log_level)
    logger = logging.getLogger("proxy")
    for warning in config.warnings:
        logger.warning(warning)
    try:
        uvloop.run(serve(settings))
    except StartError as error:
        logger.critical(str(error))
        return 1
    return 0


def _import_aiohttp() -> None:
    """Import aiohttp without 2 MB of CA certificates, which it loads for its client, unused here."""
    name = "SSL_CERT_FILE"
    configured = os.environ.get(name)
    os.environ[name] = os.devnull
    import aiohttp  # noqa: F401, PLC0415

    if configured is None:
        del os.environ[name]
    else:
        os.environ[name] = configured


if __name__ == "__main__":
    sys.exit(main())
