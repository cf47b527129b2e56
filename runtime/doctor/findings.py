"""What a check examines (`Installation`) and reports (`Finding`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runtime.config import Config

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one examination. Never contains a secret."""

    level: Level
    text: str
    remedy: str = ""
    """A command, or what to do; empty if there is nothing to do."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """The installation that is examined."""

    root: Path
    config: Config | None
    """None if the configuration is bad."""
    config_problems: tuple[str, ...] = ()
    control: str = ""
    """The path of supervisord's socket."""
    programs: Mapping[str, int] = field(default_factory=dict)
    """The pid of each supervised program, 0 if it is not running; empty without a supervisord."""
    venv: Path

    @property
    def known(self) -> Config:
        """The configuration, for checks that run only with a valid one."""
        assert self.config is not None
        return self.config


Check = Callable[[Installation], Iterator[Finding]]


def ok(text: str) -> Finding:
    """Everything is as it should be."""
    return Finding(level="ok", text=text)


def note(text: str, remedy: str = "") -> Finding:
    """Something worth knowing that is not a fault."""
    return Finding(level="note", text=text, remedy=remedy)


def warning(text: str, remedy: str = "") -> Finding:
    """It works, but perhaps not for long, or not as intended."""
    return Finding(level="warning", text=text, remedy=remedy)


def problem(text: str, remedy: str = "") -> Finding:
    """It does not work, or does harm. The exit status is then 1."""
    return Finding(level="problem", text=text, remedy=remedy)
