"""The commands that the dashboard may run. Arguments are checked here, and no shell sees them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.dashboard.console import errors

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPOSITORY = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*){0,4}", re.ASCII)
_MAX_FILE_CHARS = 200
PACKAGED = ("smollm2", "embedding")
"""Models that `pull` knows by a word."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the console."""

    arguments: tuple[str, ...]
    timeout_s: float
    exit_statuses: tuple[int, ...] = (0,)
    """Those with which the output is an answer."""

    @property
    def text(self) -> str:
        """As one would type it."""
        return " ".join(("./console.sh", *self.arguments))


MODELS = Command(arguments=("models", "--json"), timeout_s=60)
STATUS = Command(arguments=("status", "--json"), timeout_s=30, exit_statuses=(0, 1, 3))
DOCTOR = Command(arguments=("doctor", "--json"), timeout_s=120, exit_statuses=(0, 1))


def pull(repository: str, file: str = "") -> Command:
    """Download a model: OWNER/NAME on the hub, or one of PACKAGED; `file` may be a quantisation.

    Raises:
        DashboardError: an argument has another form.
    """
    if repository in PACKAGED:
        if file:
            raise errors.no_file_with(repository)
        return Command(arguments=("pull", repository), timeout_s=6 * 3600)
    if not _REPOSITORY.fullmatch(repository):
        raise errors.not_a_repository()
    if file and (len(file) > _MAX_FILE_CHARS or not _FILE.fullmatch(file)):
        raise errors.not_a_file()
    return Command(arguments=("pull", repository, *([file] if file else [])), timeout_s=6 * 3600)


def use(model: str, known: Sequence[str]) -> Command:
    """Serve another model, one of `known`: the names that `MODELS` lists.

    Raises:
        DashboardError: it is none of them.
    """
    if model not in known or model.startswith("-"):
        raise errors.unknown_model()
    return Command(arguments=("use", model), timeout_s=3600)
