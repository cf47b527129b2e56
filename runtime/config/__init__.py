"""The configuration: its keys, its files, and the certificate that they may name.

The one package of runtime/ that proxy/ imports too (a contract in pyproject.toml). It imports nothing
of either. Front door: `load` and `Config`, `KEYS`, `ConfigError`.
"""

from runtime.config.configuration import ROOT, Config, bracketed, load
from runtime.config.env_file import ConfigError
from runtime.config.keys import KEYS, Key

__all__ = ["KEYS", "ROOT", "Config", "ConfigError", "Key", "bracketed", "load"]
