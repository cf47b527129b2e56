"""NVIDIA's aiperf: a load of streamed chats. Its tokenizer is one that the script makes."""

from __future__ import annotations

from pathlib import Path

from report import KEY, MODEL, URL, capability
from support import new_folder, run
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


def main() -> None:
    """Measure a few requests."""
    folder = new_folder()
    with capability("stream"):
        said = run(
            *("aiperf", "profile", "--model", MODEL, "--url", URL, "--api-key", KEY),
            *("--endpoint-type", "chat", "--streaming", "--request-count", "4", "--concurrency", "2"),
            *("--use-server-token-count", "--tokenizer", tokenizer(folder), "--ui", "none"),
            *("--synthetic-input-tokens-mean", "20", "--output-tokens-mean", "5"),
            folder=folder,
        )
        assert "Request Throughput" in said


def tokenizer(folder: Path) -> str:
    """Write one whose tokens are bytes; aiperf makes its prompts with it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    path = folder / "tokenizer"
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(path)
    return str(path)


main()
