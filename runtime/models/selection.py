"""The models that can be served: which there are, whether a file is one, and which one to serve.

    python -m runtime.models.selection check FILE   is FILE a whole model? 1 and why, if not
    python -m runtime.models.selection list         one a line; those in models/ by their name
    python -m runtime.models.selection select [--model FILE]   the path of the one to serve

The rule of `select`: `--model` > LLAMA_SERVER_MODEL > the one served last > the only one in models/
> the terminal is asked > exit 1, naming what there is. The starter model that comes with the appliance
(`models/starter/`) counts there only where there is no other; served last for want of one, it gives way
to the first that comes.

Reads headers only (`runtime/models/gguf_header.py`), and never loads the engine: fast enough to run at
each start. Leaves to console.sh to note the model served last (`Config.data_dir / "model"`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.models.gguf_header import FILE_TYPES, GGUFError, Header, read_header
from runtime.models.memory_need import Shape, shape_of

SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
"""The name of one part of a model split by llama.cpp's gguf-split: stem, number, count."""

STARTER = "models/starter/llamaserve-starter.gguf"
"""The small model that comes with the appliance, within the checkout."""

HOW_TO_GET_ONE = """\
Put a GGUF file there, for example:
  ./console.sh pull
fetches a small one that suits this machine; ./console.sh help pull tells how to get others"""

HOW_TO_CHOOSE = "Choose with --model FILE, or set LLAMA_SERVER_MODEL=FILE in runtime/config.env"


class ModelError(Exception):
    """There is no model to serve. The text names the file and says why, fit to be shown as it is.

    What to do is its end where it is more than to look at that file; `what` is the text without it.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class CompanionError(ModelError):
    """A whole GGUF file that goes with a model (image part, adapter …) but is none itself."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that can be served. Of a split one, `path` is the first part: it stands for all."""

    path: Path
    architecture: str
    title: str
    context_length: int
    """In tokens, as it was trained; 0 where the file does not say."""
    parameters: int
    quantisation: str
    """Of most weights, such as Q4_K_M; empty where the file does not say."""
    file_bytes: int
    has_chat_template: bool
    shape: Shape
    """What its memory is estimated from."""

    @property
    def id(self) -> str:
        """Its name in the API."""
        return self.path.name


def read_model(path: Path) -> Model:
    """Read and check a model, all of its parts included.

    Raises:
        ModelError: it is missing, no GGUF file, truncated, or no model that could be served.
    """
    parts = _parts(path)
    headers = [_header(part) for part in parts]
    fields = headers[0].fields
    architecture = str(fields.get("general.architecture", ""))
    kind = str(fields.get("general.type", "model"))
    if not architecture:
        raise ModelError(f"{path}: names no architecture: it is not a language model")
    if architecture == "clip" or kind == "mmproj":
        raise CompanionError(f"{path}: is the image part of a model (mmproj), not the model itself")
    if kind != "model":
        raise CompanionError(f"{path}: is of type '{kind}', not a model to serve")
    if not any(header.tensors for header in headers):
        raise ModelError(f"{path}: holds a vocabulary only, no weights")
    context_length = fields.get(f"{architecture}.context_length", 0)
    return Model(
        path=path,
        architecture=architecture,
        title=str(fields.get("general.name", "")) or path.stem,
        context_length=context_length if isinstance(context_length, int) else 0,
        parameters=sum(header.parameters for header in headers),
        quantisation=_quantisation(fields.get("general.file_type")),
        file_bytes=sum(header.file_bytes for header in headers),
        has_chat_template="tokenizer.chat_template" in fields,
        shape=shape_of(*headers),
    )


def _quantisation(file_type: object) -> str:
    return FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else ""


def _parts(path: Path) -> list[Path]:
    shard = SHARD.fullmatch(path.name)
    if shard is None:
        return [path]
    stem, number, count = shard.group(1), int(shard.group(2)), int(shard.group(3))
    parts = [path.with_name(f"{stem}-{i:05}-of-{count:05}{path.suffix}") for i in range(1, count + 1)]
    if number != 1:
        raise ModelError(f"{path}: is a part of a split model; name its first, {parts[0].name}")
    missing = [part.name for part in parts if not part.exists()]
    if missing and path.exists():
        raise ModelError(f"{path}: of its {count} parts these are missing: {', '.join(missing)}")
    return parts


def _header(path: Path) -> Header:
    # Of a pipe nobody would ever read the end.
    if path.exists() and not path.is_file():
        raise ModelError(f"{path}: is {'a directory' if path.is_dir() else 'no file'}, not a GGUF file")
    try:
        header = read_header(path)
    except FileNotFoundError:
        raise ModelError(f"{path}: does not exist (./console.sh models lists what there is)") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except GGUFError as error:
        raise ModelError(f"{path}: {error}") from error
    if header.file_bytes < header.whole_bytes:
        raise ModelError(
            f"{path}: is truncated: {header.file_bytes} of {header.whole_bytes} bytes are there "
            "(a download that did not end?)"
        )
    return header


def inspect(directory: Path) -> Iterator[tuple[Path, Model | ModelError]]:
    """Every GGUF file below a directory, by name: a model, or why it is none.

    Hidden directories are passed over (unfinished downloads are kept there). A split model is its first
    part.
    """
    for path in _gguf_files(directory):
        try:
            yield path, read_model(path)
        except ModelError as error:
            yield path, error


def find_models(directory: Path) -> tuple[list[Model], list[str]]:
    """The models below a directory, by name, and a line for each GGUF file that is none.

    Files that go with a model are left out of both.
    """
    models, problems = [], []
    for _, found in inspect(directory):
        if isinstance(found, Model):
            models.append(found)
        elif not isinstance(found, CompanionError):
            problems.append(str(found))
    return models, problems


def _gguf_files(directory: Path) -> Iterable[Path]:
    found = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            shard = SHARD.fullmatch(name)
            first = shard and f"{shard.group(1)}-00001-of-{shard.group(3)}"
            is_later = first and any(other.startswith(f"{first}.") for other in names if other != name)
            if name.lower().endswith(".gguf") and not name.startswith(".") and not is_later:
                found.append(Path(folder, name))
    return sorted(found)


def resolve(config: Config, name: str) -> Path:
    """The file a user means: a path, or a name in models/, with or without `.gguf`.

    A path that does not exist is answered as it would be in models/, for the message that follows.
    """
    given = Path(name).expanduser()
    places = [config.root / "models" / given, config.root / given]
    for place in places:
        for path in (place, place.with_name(f"{place.name}.gguf")):
            if path.is_file():
                return Path(os.path.abspath(path))  # not resolve(): a link's own name is the id
    return places[0]


def last_used(config: Config) -> Path | None:
    """The model served last, None where there was none or its file has gone."""
    try:
        path = Path((config.data_dir / "model").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        return None
    return path if path.is_absolute() and path.is_file() else None


def replaced_id(config: Config) -> str:
    """The name in the API of the model whose place is being taken; empty where none is."""
    try:
        return Path((config.data_dir / "model.before").read_text(encoding="utf-8").strip()).name
    except (OSError, UnicodeDecodeError):
        return ""


def is_starter(config: Config, path: Path) -> bool:
    """Whether this is the small model that comes with the appliance."""
    return config.root / "models" / "starter" in path.parents


def select(
    config: Config,
    requested: str = "",
    *,
    last_used_first: bool = False,
    ask: Callable[[list[str]], int] | None = None,
) -> Model:
    """The model to serve, by the rule above.

    Args:
        config: names LLAMA_SERVER_MODEL, and where models/ and the last one used are kept.
        requested: the user's `--model`; empty when there is none.
        last_used_first: the one served last wins over LLAMA_SERVER_MODEL. For a server that comes
            back: it serves what it was started with.
        ask: shows the names and returns the index of the chosen one; None without a terminal.

    Raises:
        ModelError: none can be served, or it is for the user to choose.
    """
    last = last_used(config)
    if requested:
        return read_model(resolve(config, requested))
    if last is not None and last_used_first:
        return read_model(last)
    if name := config.text("LLAMA_SERVER_MODEL"):
        return read_model(resolve(config, name))
    if last is not None and not (is_starter(config, last) and _others_came_since(config)):
        return read_model(last)
    return _only_one(config, ask)


def _others_came_since(config: Config) -> bool:
    """Whether models/ has got another model since the starter was noted: served for want of one."""
    noted_at = (config.data_dir / "model").stat().st_mtime
    models, _ = find_models(config.root / "models")
    # Moving a file there changes its inode, whenever it was written.
    return any(
        model.path.stat().st_ctime > noted_at for model in models if not is_starter(config, model.path)
    )


def _only_one(config: Config, ask: Callable[[list[str]], int] | None) -> Model:
    folder = config.root / "models"
    models, problems = find_models(folder)
    models = [model for model in models if not is_starter(config, model.path)] or models
    if len(models) == 1:
        return models[0]
    names = [str(model.path.relative_to(folder)) for model in models]
    if not models:
        found = "".join(f"\n  {line}" for line in problems)
        text = f"no model to serve in {folder}{':' if found else ''}{found}"
        raise ModelError(text, HOW_TO_GET_ONE)
    if ask is not None:
        return models[ask(names)]
    raise ModelError("\n  ".join(["there are several models:", *names]), HOW_TO_CHOOSE)


def ask_terminal(names: list[str]) -> int:
    """Ask which one, on stderr and stdin, until the answer is a number that was offered.

    Raises:
        ModelError: the user ended the input instead.
    """
    for number, name in enumerate(names, 1):
        print(f"  {number}) {name}", file=sys.stderr)
    while True:
        print(f"Which model? [1-{len(names)}] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise ModelError("no model was chosen", HOW_TO_CHOOSE)
        if answer.strip().isdecimal() and 1 <= int(answer) <= len(names):
            return int(answer) - 1


def _list(config: Config) -> None:
    folder = config.root / "models"
    models, problems = find_models(folder)
    paths = [model.path for model in models]
    last = last_used(config)
    if last is not None and folder not in last.parents:
        paths.append(last)
    for path in paths:
        print(path.relative_to(folder) if folder in path.parents else path)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run one of the commands; 0, 1 with the reason on stderr, or 2 for wrong usage."""
    try:
        match arguments:
            case ["check", file]:
                read_model(Path(file))
            case ["list"]:
                _list(load())
            case ["select", *rest] if not rest or (len(rest) == 2 and rest[0] == "--model"):
                terminal = sys.stdin.isatty() and sys.stderr.isatty()
                ask = ask_terminal if terminal else None
                print(select(load(), "".join(rest[1:]), ask=ask).path)
            case _:
                usage = "usage: runtime.models.selection check FILE | list | select [--model FILE]"
                print(usage, file=sys.stderr)
                return 2
    except (ModelError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
