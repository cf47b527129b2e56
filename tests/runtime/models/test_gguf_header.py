"""The reader of GGUF headers: what it reads, and that it stops at damaged data."""

from __future__ import annotations

from pathlib import Path

from gguf import GGUFReader, LlamaFileType
from gguf.constants import GGML_QUANT_SIZES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.models.gguf_header import BLOCK_SIZES, FILE_TYPES, GGUFError, read_header
from tests.support.gguf import build_model


def test_reads_what_the_reference_reader_reads(tmp_path: Path) -> None:
    """Fields, tensors, parameters and file size agree with the reader of the package gguf."""
    path = build_model(tmp_path / "model.gguf", context_length=2345)

    header, reference = read_header(path), GGUFReader(path)

    assert header.tensors == len(reference.tensors)
    assert header.parameters == sum(tensor.n_elements for tensor in reference.tensors)
    assert header.whole_bytes <= header.file_bytes == path.stat().st_size
    assert header.whole_bytes > header.file_bytes - reference.alignment
    assert header.fields["llama.context_length"] == 2345
    assert header.fields["tokenizer.chat_template"] == (
        reference.fields["tokenizer.chat_template"].contents()
    )


def test_knows_the_size_of_every_tensor_type() -> None:
    """If ggml adds a type, this fails: truncated files with that type would not be noticed."""
    assert {int(kind): size for kind, size in GGML_QUANT_SIZES.items()} == BLOCK_SIZES


def test_knows_the_name_of_every_quantisation() -> None:
    """If llama.cpp adds one, this fails: it would be shown as unknown."""
    reference = {int(kind): kind.name for kind in LlamaFileType if kind is not LlamaFileType.GUESSED}
    assert {
        number: name.removeprefix("ALL_").removeprefix("MOSTLY_") for number, name in reference.items()
    } == FILE_TYPES


@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_header_is_refused_or_read_but_never_followed(
    tmp_path: Path, data: st.DataObject
) -> None:
    """With any eight bytes replaced, the result is a header or GGUFError, within a short time."""
    path = tmp_path / "model.gguf"
    if not path.exists():
        build_model(path)
    content = bytearray(path.read_bytes()[:20_000])
    at = data.draw(st.integers(0, len(content) - 8))
    content[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)

    try:
        header = read_header(damaged)
    except GGUFError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
    else:
        assert header.file_bytes == len(content)
