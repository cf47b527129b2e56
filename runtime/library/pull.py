"""`./console.sh pull [REPO [FILE]]`: a model from the hub into models/.

What is being fetched is kept in models/.pull/, where nothing looks for models, and moved to its place
when it is whole, verified, and a model. Leaves the hub to `hub.py`, the choice to `catalogue.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.library import model_fit
from runtime.library.catalogue import Variant, default_for, proposed, variants_of
from runtime.library.hub import HubError, fetch, gguf_files, part_of
from runtime.library.model_fit import gigabytes
from runtime.models.selection import ModelError, read_model

MARGIN_BYTES = 2**30
"""Of disk space that must be left: for logs, records and everything else."""
USAGE = "usage: ./console.sh pull [REPO [FILE]]"


class PullError(Exception):
    """Nothing was fetched; the text says why and what to do."""


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str) -> str:
    print(question, end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise PullError("nothing was chosen")
    return answer.strip()


def choose(variants: list[Variant], wanted: str, repo: str, memory_bytes: int) -> Variant:
    """The one that `wanted` names; without a name the proposed one, or what a terminal answers.

    Raises:
        PullError: there is none of that name, or none at all.
    """
    if not variants:
        raise PullError(f"{repo} has no GGUF model: look for a repository whose name ends in -GGUF")
    if wanted:
        found = [one for one in variants if one.is_called(wanted)]
        if found:
            return found[-1]
        names = "".join(f"\n  {one.name}" for one in variants)
        raise PullError(f"{repo} has no {wanted}. It has:{names}")
    best = proposed(variants, memory_bytes)
    for number, one in enumerate(variants, 1):
        mark = "  <- proposed" if one is best else ""
        parts = f" ({len(one.files)} parts)" if len(one.files) > 1 else ""
        size = gigabytes(one.size_bytes)
        _say(f"{number:>4}) {one.quantisation or '-':<8} {size:>8}  {one.name}{parts}{mark}")
    if not _is_terminal():
        return best
    while True:
        answer = _ask(f"Which one? [1-{len(variants)}, Enter: {best.quantisation or best.name}]")
        if not answer:
            return best
        if answer.isdecimal() and 1 <= int(answer) <= len(variants):
            return variants[int(answer) - 1]


def check_disk(variant: Variant, staging: Path, models: Path) -> None:
    """Raise PullError if the disk has no room for what is yet to come."""
    missing = variant.size_bytes
    for file in variant.files:
        for have in (part_of(file, staging), staging / file.name):
            missing -= have.stat().st_size if have.exists() else 0
    free = shutil.disk_usage(models).free
    if missing + MARGIN_BYTES > free:
        raise PullError(
            f"{variant.name} needs {gigabytes(missing)} more and {gigabytes(MARGIN_BYTES)} to spare; "
            f"{models} has {gigabytes(free)} free: make room, or take a smaller one"
        )


def check_places(variant: Variant, models: Path) -> bool:
    """Whether the model is there already, by the sizes of its files.

    Raises:
        PullError: another file is where one of its own belongs.
    """
    there = [file for file in variant.files if (models / file.name).exists()]
    for file in there:
        if (models / file.name).stat().st_size != file.size_bytes:
            raise PullError(
                f"{models / file.name} is another file than {file.repo}'s: rename or remove it first"
            )
    return len(there) == len(variant.files)


def pull(variant: Variant, models: Path) -> Path:
    """Fetch a model into models/; the path of its (first) file.

    Raises:
        PullError, HubError, OSError: it is not there; the text says why.
    """
    first = models / variant.name
    if check_places(variant, models):
        _say(f"{first} is there already")
        return first
    staging = models / ".pull" / variant.files[0].repo.replace("/", "--")
    staging.mkdir(parents=True, exist_ok=True)
    check_disk(variant, staging, models)
    for file in variant.files:
        whole = staging / file.name
        # It was verified before it got this name.
        if not (whole.exists() and whole.stat().st_size == file.size_bytes):
            have = part_of(file, staging)
            begun_bytes = have.stat().st_size if have.exists() else 0
            begun = f", {gigabytes(begun_bytes)} of it are there" if begun_bytes else ""
            _say(f"fetching {file.name} ({gigabytes(file.size_bytes)}{begun})")
            fetch(file, staging)
    try:
        read_model(staging / variant.name)
    except ModelError as error:
        for file in variant.files:
            (staging / file.name).unlink()
        reason = str(error).removeprefix(f"{staging / variant.name}: ")
        raise PullError(f"{variant.name} is not kept: it {reason}") from error
    # The first part stands for the model: it comes last.
    for file in reversed(variant.files):
        os.replace(staging / file.name, models / file.name)
    for folder in (staging, staging.parent):
        if not any(folder.iterdir()):
            folder.rmdir()
    return first


def _default(memory_bytes: int) -> tuple[str, str]:
    default = default_for(memory_bytes)
    kind = f"{default.quantisation}, {default.licence}"
    _say(f"{default.repo} ({kind}) suits {gigabytes(memory_bytes)} of memory")
    if _is_terminal() and _ask("Fetch it? [Y/n]").lower() not in ("", "y", "yes"):
        raise PullError("nothing was chosen: ./console.sh pull REPO fetches another")
    return default.repo, default.quantisation


def run(config: Config, repo: str, wanted: str) -> Path:
    """Do what the command line says."""
    there = model_fit.room(config)
    memory_bytes = max(there.memory, there.gpu)
    if not repo:
        repo, wanted = _default(memory_bytes)
    variant = choose(variants_of(gguf_files(repo)), wanted, repo, memory_bytes)
    path = pull(variant, config.root / "models")
    if problem := model_fit.problem(config, read_model(path), there):
        _say(f"warning: {problem}")
    return path


def main(arguments: list[str]) -> int:
    """0; 1 with the reason on stderr; 2 for wrong usage; 130 when interrupted."""
    if len(arguments) > 2 or any(not one or one.startswith("-") for one in arguments):
        _say(USAGE)
        return 2
    repo, wanted = [*arguments, "", ""][:2]
    try:
        path = run(load(), repo, wanted)
    except (PullError, HubError, ModelError, ConfigError) as error:
        _say(f"error: {error}")
        return 1
    except OSError as error:
        _say(f"error: {error.filename or 'models/'}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _say("\ninterrupted; the same command goes on from there")
        return 130
    print(path)
    _say(f"./console.sh use {path.name} serves it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
