"""Reads the header of a GGUF file: its metadata, and whether the file contains all of its tensors.

Owns the file format (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). `model_file.py` decides
which files are models.

The package `gguf` (0.19) has a reader, too. It creates array objects for every token and merge of the
vocabulary: with 150,000 and 280,000 of them that takes 9 seconds and 0.7 GB. It also trusts the counts
in a damaged header. This reader reads the header alone, through a buffer, skips what is not needed, and
stops at the first impossible number: 0.1 seconds for the same file.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32

# A header with larger numbers is damaged.
MAX_FIELDS = 1 << 16
MAX_TENSORS = 1 << 20
MAX_DIMENSIONS = 4
MAX_NAME_BYTES = 1 << 16
MAX_STRING_BYTES = 1 << 26
MAX_STRINGS = 1 << 24
MAX_KEPT_VALUES = 4096
"""Longer arrays of numbers are skipped. Short ones may have a value for each layer."""

_UINT32, _BOOL, _STRING, _ARRAY = 4, 7, 8, 9
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    _UINT32: "<I",
    5: "<i",
    6: "<f",
    _BOOL: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}

# Tensor type: (values in a block, bytes of a block), from ggml's type traits. The size of other types is
# not checked; the engine decides whether it knows them.
BLOCK_SIZES = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    9: (32, 40),  # Q8_1
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
    41: (128, 18),  # Q1_0
}

# general.file_type: the quantisation of most weights (llama.cpp's llama_ftype).
FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}

Value = int | float | bool | str | tuple[int | float, ...]


class GGUFError(Exception):
    """The file is not a complete GGUF file. The text is the reason, without the file's name."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a GGUF file. `fields` contains scalars, strings and short arrays of numbers."""

    fields: dict[str, Value]
    lengths: dict[str, int]
    """Length of each array, by field name."""
    tensors: int
    has_classifier: bool
    """Whether it holds the tensors of a classifier, such as a reranker's."""
    parameters: int
    file_bytes: int
    whole_bytes: int
    """The size that the file needs to contain all of its tensors."""


def read_header(path: Path) -> Header:
    """Read the header of one file. The tensors' data are not read.

    Raises:
        GGUFError: the file is not a GGUF file, or ends within its header.
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=1 << 18) as file:
        return _Reader(file).read()


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._lengths: dict[str, int] = {}
        self._has_classifier = False

    def read(self) -> Header:
        self._check_kind()
        tensors = self._count(MAX_TENSORS, "tensors")
        fields: dict[str, Value] = {}
        for _ in range(self._count(MAX_FIELDS, "fields")):
            name = self._text(MAX_NAME_BYTES)
            value = self._value(name, self._number("<I"))
            if value is not None:
                fields[name] = value
        parameters = end = 0
        for _ in range(tensors):
            values, tensor_end = self._tensor()
            parameters += values
            end = max(end, tensor_end)
        alignment = fields.get("general.alignment", DEFAULT_ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0:
            raise GGUFError("is damaged: its alignment is not a positive number")
        data_start = -(-self._file.tell() // alignment) * alignment
        return Header(
            fields=fields,
            lengths=self._lengths,
            tensors=tensors,
            has_classifier=self._has_classifier,
            parameters=parameters,
            file_bytes=self._size,
            whole_bytes=data_start + end if tensors else self._file.tell(),
        )

    def _check_kind(self) -> None:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise GGUFError("is not a GGUF file" if self._size else "is empty")
        version = self._number("<I")
        if version & 0xFFFF == 0:
            raise GGUFError("is a GGUF file for big-endian machines")
        if version not in VERSIONS:
            raise GGUFError(f"is a GGUF file of version {version}; versions 2 and 3 are known")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) < length:
            raise GGUFError("is truncated: it ends within its header")
        return data

    def _skip(self, length: int) -> None:
        if self._file.tell() + length > self._size:
            raise GGUFError("is truncated: it ends within its header")
        self._file.seek(length, os.SEEK_CUR)

    def _number(self, form: str) -> int:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return int(value)

    def _count(self, limit: int, what: str) -> int:
        count = self._number("<Q")
        if count > limit:
            raise GGUFError(f"is damaged: its header claims {count} {what}")
        return count

    def _text(self, limit: int) -> str:
        return self._take(self._count(limit, "bytes in a string")).decode("utf-8", "replace")

    def _value(self, name: str, kind: int) -> Value | None:
        """The field's value; None for an array that is skipped."""
        if kind == _STRING:
            return self._text(MAX_STRING_BYTES)
        if kind == _ARRAY:
            return self._array(name)
        if kind not in _SCALARS:
            raise GGUFError(f"is damaged: its header contains a value of unknown type {kind}")
        form = _SCALARS[kind]
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        assert isinstance(value, int | float)
        return value

    def _array(self, name: str) -> Value | None:
        kind = self._number("<I")
        if kind in _SCALARS:
            self._lengths[name] = length = self._number("<Q")
            form = _SCALARS[kind]
            if length <= MAX_KEPT_VALUES:
                data = self._take(length * struct.calcsize(form))
                return tuple(value for (value,) in struct.iter_unpack(form, data))
            self._skip(length * struct.calcsize(form))
        elif kind == _STRING:
            self._lengths[name] = length = self._count(MAX_STRINGS, "strings in an array")
            self._skip_strings(length)
        else:
            raise GGUFError(f"is damaged: its header contains an array of unknown type {kind}")
        return None

    def _skip_strings(self, count: int) -> None:
        # Written without helper calls: a vocabulary has hundreds of thousands of strings.
        read = self._file.read
        for _ in range(count):
            head = read(8)
            length = int.from_bytes(head, "little")
            if length > MAX_STRING_BYTES:
                raise GGUFError(f"is damaged: its header claims {length} bytes in a string")
            if len(head) < 8 or len(read(length)) < length:
                raise GGUFError("is truncated: it ends within its header")

    def _tensor(self) -> tuple[int, int]:
        """The number of values of the next tensor, and the offset of its end within the data."""
        if self._text(MAX_NAME_BYTES).startswith("cls."):
            self._has_classifier = True
        dimensions = self._number("<I")
        if dimensions > MAX_DIMENSIONS:
            raise GGUFError(f"is damaged: a tensor claims {dimensions} dimensions")
        values = 1
        for _ in range(dimensions):
            values *= self._number("<Q")
        per_block, block_bytes = BLOCK_SIZES.get(self._number("<I"), (1, 0))
        return values, self._number("<Q") + values * block_bytes // per_block
