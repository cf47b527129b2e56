"""Show the configuration to shell scripts and people.

python -m runtime.config check        check it; 1, with the problems on stderr, if it is bad
python -m runtime.config get NAME …   print the values of keys or properties of Config, one a line
python -m runtime.config table        print all keys as a Markdown table
"""

from __future__ import annotations

import sys

from runtime.config import KEYS, Config, ConfigError, load, tls


def _value(config: Config, name: str) -> str:
    """The value of a key, or of a property of Config."""
    if name in KEYS:
        return config.text(name)
    value = getattr(config, name)
    return str(int(value)) if isinstance(value, bool) else str(value)


def _check(config: Config) -> int:
    """Print warnings. Returns 1 if the proxy could not start with its certificate or engines' keys."""
    warnings = list(config.warnings)
    problem = ""
    for backend in config.backends:
        config.backend_key(backend)
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


def table() -> str:
    """A Markdown table of all keys: key, default, meaning."""
    rows = [("Key", "Default", "Meaning"), ("---", "---", "---")]
    rows += [
        (f"`{key.name}`", f"`{key.default}`" if key.default else "", key.meaning.replace("|", "\\|"))
        for key in KEYS.values()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: list[str]) -> int:
    """Run one of the commands. Returns 0, 1 if the configuration is bad, 2 for wrong usage."""
    if arguments == ["table"]:
        print(table())
        return 0
    try:
        config = load()
    except ConfigError as error:
        error.report()
        return 1
    if arguments[:1] == ["get"]:
        for name in arguments[1:]:
            print(_value(config, name))
        return 0
    if arguments == ["check"]:
        try:
            return _check(config)
        except ConfigError as error:
            error.report()
            return 1
    print("usage: python -m runtime.config check | get NAME … | table", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
