"""Reads and checks the configuration: its keys, its files, and the proxy's TLS certificate.

Owns the precedence of the files, the checks of values and the meanings of keys. Leaves to its callers
what a setting does. It is the one package of runtime/ that proxy/ imports too (a contract in
pyproject.toml), and it imports nothing else of either. Front door: `load`, `Config`, `KEYS`,
`ConfigError`; `tls`; `Origins`.
"""

from runtime.config.configuration import ROOT, Config, bracketed, load
from runtime.config.env_file import ConfigError
from runtime.config.keys import KEYS, Key
from runtime.config.origins import Origins, is_preflight

__all__ = [
    "KEYS",
    "ROOT",
    "Config",
    "ConfigError",
    "Key",
    "Origins",
    "bracketed",
    "is_preflight",
    "load",
]
