"""What a check finds, and what it has to go by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from runtime.config import Config

Level = Literal["ok", "note", "warning", "problem"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. Never holds a secret."""

    level: Level
    text: str
    remedy: str = ""
    """A command, or what to do; empty where nothing is to be done."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What is examined."""

    root: Path
    config: Config | None
    """None where it is bad."""
    config_problems: tuple[str, ...] = ()
    control: str = ""
    """The path of supervisord's socket."""
    programs: Mapping[str, int] = field(default_factory=dict)
    """The process of each of its programs, 0 where there is none; empty without a supervisord."""
    venv: Path

    @property
    def known(self) -> Config:
        """The configuration, for checks that run only where there is one."""
        assert self.config is not None
        return self.config


Check = Callable[[Installation], Iterator[Finding]]


def ok(text: str) -> Finding:
    """It is as it should be."""
    return Finding(level="ok", text=text)


def note(text: str, remedy: str = "") -> Finding:
    """Worth knowing, and no fault."""
    return Finding(level="note", text=text, remedy=remedy)


def warning(text: str, remedy: str = "") -> Finding:
    """It works, and might not for long or not as meant."""
    return Finding(level="warning", text=text, remedy=remedy)


def problem(text: str, remedy: str = "") -> Finding:
    """It does not work, or harms: the exit status says so too."""
    return Finding(level="problem", text=text, remedy=remedy)
