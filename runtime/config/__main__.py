"""How the shell asks for the configuration.

python -m runtime.config check           1 and why, when it is bad
python -m runtime.config get NAME …      a value a line: a key, or a property of Config
"""

from __future__ import annotations

import sys

from runtime.config import KEYS, Config, ConfigError, load, tls


def _answers(config: Config, name: str) -> str:
    """A value as the shell asks for it: a key, or one of the derived properties by name."""
    if name in KEYS:
        return config.text(name)
    value = getattr(config, name)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _check(config: Config) -> int:
    """Tell what there is to be warned of; 1 when the proxy could not start with its certificate."""
    warnings = list(config.warnings)
    problem = ""
    if config.switch("LLAMA_PROXY_ENABLED") and config.text("LLAMA_PROXY_TLS_CERT"):
        cert, key = (config.path(f"LLAMA_PROXY_TLS_{name}", "") for name in ("CERT", "KEY"))
        try:
            tls.valid_until(cert, key)
        except tls.TLSRefusedError as error:
            warnings.append(str(error))
        except tls.TLSError as error:
            problem = str(error)
    for line in warnings:
        print(f"warning: {line}", file=sys.stderr)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problem else 0


def main(arguments: list[str]) -> int:
    """`check`, or `get NAME …`: one line each. 1 when the configuration is bad."""
    try:
        config = load()
    except ConfigError as error:
        for line in error.problems:
            print(f"error: {line}", file=sys.stderr)
        return 1
    if arguments[:1] == ["get"]:
        for name in arguments[1:]:
            print(_answers(config, name))
        return 0
    if arguments == ["check"]:
        return _check(config)
    print("usage: python -m runtime.config check | get NAME …", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
