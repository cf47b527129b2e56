"""Chooses what `./console.sh pull` downloads: the default model, and the best file of a repository.

Uses no network: `hub.py` lists a repository's files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from runtime.library.hub import RemoteFile
from runtime.models.model_file import SHARD

GIB = 2**30

QUANTISATION = re.compile(
    r"(?<![a-z0-9])(i?q\d(?:_[a-z0-9]+)*|tq\d_0|mxfp4(?:_moe)?|nvfp4|bf16|f(?:p)?16|f(?:p)?32)(?![a-z0-9])",
    re.IGNORECASE,
)
UNQUANTISED = ("BF16", "F16", "F32", "FP16", "FP32")
NOT_MODELS = ("mmproj", "imatrix")
"""Parts of the names of GGUF files that belong to a model but are not one."""
SHARE_OF_MEMORY = 0.5
"""The share that the weights of a proposed model may take. The rest is for context and saved prompts."""


@dataclass(frozen=True, kw_only=True)
class Default:
    """A small instruct model with a licence that allows any use."""

    memory_bytes: int
    """The least memory of the machines that this model is for."""
    repo: str
    quantisation: str
    licence: str


DEFAULTS = (
    Default(
        memory_bytes=12 * GIB,
        repo="Qwen/Qwen2.5-7B-Instruct-GGUF",
        quantisation="Q4_K_M",
        licence="Apache-2.0",
    ),
    Default(
        memory_bytes=4 * GIB,
        repo="Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        quantisation="Q4_K_M",
        licence="Apache-2.0",
    ),
    Default(
        memory_bytes=0,
        repo="Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        quantisation="Q4_K_M",
        licence="Apache-2.0",
    ),
)
"""The largest first. The 3B variant of Qwen2.5 is not listed: its licence is for research only."""


EMBEDDING = Default(
    memory_bytes=0,
    repo="nomic-ai/nomic-embed-text-v1.5-GGUF",
    quantisation="Q8_0",
    licence="Apache-2.0",
)
"""A small model for embeddings: 137 million parameters, and inputs of 2048 tokens."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One model of a repository: a file, or all parts of a split model in order."""

    files: tuple[RemoteFile, ...]

    @property
    def name(self) -> str:
        """The name of the (first) file."""
        return self.files[0].name

    @property
    def size_bytes(self) -> int:
        return sum(one.size_bytes for one in self.files)

    @property
    def quantisation(self) -> str:
        """The quantisation in the file's name; empty if there is none."""
        found = QUANTISATION.findall(self.name.removesuffix(".gguf"))
        return found[-1].upper() if found else ""

    def is_named(self, text: str) -> bool:
        """True if a user's text names this model: by a file, its name, or the quantisation."""
        paths = {one.path for one in self.files} | {one.name for one in self.files}
        return text in paths or f"{text}.gguf" in paths or text.upper() == self.quantisation


def default_for(memory_bytes: int) -> Default:
    """The default model for a machine with this much free memory."""
    return next(one for one in DEFAULTS if memory_bytes >= one.memory_bytes)


def variants_of(files: list[RemoteFile]) -> list[Variant]:
    """The models among these files, the smallest first. Incomplete split models are left out."""
    groups: dict[str, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda one: one.path):
        shard = SHARD.fullmatch(file.path)
        if any(word in file.name.lower() for word in NOT_MODELS):
            continue
        groups.setdefault(f"{shard[1]}/{shard[3]}" if shard else file.path, []).append(file)
    found = [Variant(files=tuple(group)) for group in groups.values() if _is_whole(group)]
    return sorted(found, key=lambda one: (one.size_bytes, one.name))


def _is_whole(group: list[RemoteFile]) -> bool:
    shard = SHARD.fullmatch(group[0].path)
    return shard is None or len(group) == int(shard[3])


def proposed(variants: list[Variant], memory_bytes: int) -> Variant:
    """The largest quantised model that leaves the machine enough memory, else the smallest model."""
    room = memory_bytes * SHARE_OF_MEMORY
    fitting = [one for one in variants if one.size_bytes <= room and one.quantisation not in UNQUANTISED]
    return fitting[-1] if fitting else variants[0]
