"""Reads model files: what a GGUF file contains, and whether it is a complete model that can be served.

Owns the checks of one file or of all parts of a split model, and the search in a directory. Leaves the
file format to `gguf_header.py`, and which model is served to `selection.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from runtime.models.gguf_header import FILE_TYPES, GGUFError, Header, read_header
from runtime.models.memory_need import Shape, shape_of

SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
"""The file name of a part of a model split by llama.cpp's gguf-split: stem, number, count."""


Pooling = Literal["mean", "cls", "last", "rank"]
POOLINGS: dict[object, Pooling] = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
"""By the number in the field `pooling_type` (llama.cpp's llama_pooling_type)."""
ENCODERS = frozenset(
    (
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    )
)
"""The architectures in llama.cpp that cannot generate."""


class ModelError(Exception):
    """There is no model to serve.

    The text names the file and the reason, and is ready to be shown. `what` is the text without the
    remedy. `remedy` is empty if the text says enough.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n{remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy


class CompanionError(ModelError):
    """A complete GGUF file that belongs to a model (image part, adapter …) but is not a model."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model that can be served. The `path` of a split model is its first part."""

    path: Path
    architecture: str
    title: str
    context_length: int
    """Trained context in tokens; 0 if the file does not say."""
    parameters: int
    quantisation: str
    """Quantisation of most weights, such as Q4_K_M; empty if the file does not say."""
    file_bytes: int
    has_chat_template: bool
    pooling: Pooling | None = None
    """How the vectors of a text's tokens become one, for a model that was made for it: it embeds or
    reranks, and does not generate."""
    shape: Shape
    """The numbers from which its memory is estimated."""

    @property
    def id(self) -> str:
        """The model's name in the API."""
        return self.path.name


def read_model(path: Path) -> Model:
    """Read and check a model, including all of its parts.

    Raises:
        ModelError: it is missing, not a GGUF file, truncated, or not a model that can be served.
    """
    parts = _parts(path)
    headers = [_header(part) for part in parts]
    fields = headers[0].fields
    architecture = str(fields.get("general.architecture", ""))
    kind = str(fields.get("general.type", "model"))
    if not architecture:
        raise ModelError(f"{path}: names no architecture, so it is not a language model")
    if architecture == "clip" or kind == "mmproj":
        raise CompanionError(f"{path}: is the image part of a model (mmproj), not the model itself")
    if kind != "model":
        raise CompanionError(f"{path}: is of type '{kind}', not a model to serve")
    if not any(header.tensors for header in headers):
        raise ModelError(f"{path}: contains only a vocabulary, no weights")
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
        pooling=_pooling(headers, architecture),
        shape=_shape(headers, architecture),
    )


def _quantisation(file_type: object) -> str:
    return FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else ""


def _shape(headers: list[Header], architecture: str) -> Shape:
    shape = shape_of(*headers)
    return replace(shape, kv_bytes_per_token=0) if architecture in ENCODERS else shape


def _pooling(headers: list[Header], architecture: str) -> Pooling | None:
    named = headers[0].fields.get(f"{architecture}.pooling_type")
    if named in POOLINGS:
        return POOLINGS[named]
    if architecture not in ENCODERS:
        return None
    return "rank" if any(header.has_classifier for header in headers) else "mean"


def _parts(path: Path) -> list[Path]:
    shard = SHARD.fullmatch(path.name)
    if shard is None:
        return [path]
    stem, number, count = shard.group(1), int(shard.group(2)), int(shard.group(3))
    parts = [path.with_name(f"{stem}-{i:05}-of-{count:05}{path.suffix}") for i in range(1, count + 1)]
    if number != 1:
        raise ModelError(f"{path}: is a part of a split model; name its first part, {parts[0].name}")
    missing = [part.name for part in parts if not part.exists()]
    if missing and path.exists():
        raise ModelError(f"{path}: these of its {count} parts are missing: {', '.join(missing)}")
    return parts


def _header(path: Path) -> Header:
    # Reading a pipe might never end.
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "a special file"
        raise ModelError(f"{path}: is {kind}, not a GGUF file")
    try:
        header = read_header(path)
    except FileNotFoundError:
        known = "./console.sh models lists the models, ./console.sh pull gets one"
        raise ModelError(f"{path}: does not exist ({known})") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except GGUFError as error:
        raise ModelError(f"{path}: {error}") from error
    if header.file_bytes < header.whole_bytes:
        raise ModelError(
            f"{path}: is truncated: it has {header.file_bytes} of {header.whole_bytes} bytes "
            "(an incomplete download?)"
        )
    return header


def inspect(directory: Path) -> Iterator[tuple[Path, Model | ModelError]]:
    """Every GGUF file below a directory, sorted by name: a model, or the reason why it is not one.

    Hidden directories are skipped (they contain unfinished downloads). A split model is listed as its
    first part.
    """
    for path in _gguf_files(directory):
        try:
            yield path, read_model(path)
        except ModelError as error:
            yield path, error


def find_models(directory: Path) -> tuple[list[Model], list[str]]:
    """The models below a directory, sorted by name, and a line for each GGUF file that is not a model.

    Files that belong to a model are in neither list.
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
