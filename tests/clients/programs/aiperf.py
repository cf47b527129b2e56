"""NVIDIA's aiperf: a load of streamed chats. Its tokenizer is one that the script makes."""

from __future__ import annotations

from report import KEY, MODEL, URL, capability
from support import new_folder, run


def main() -> None:
    """Measure a few requests."""
    folder = new_folder()
    with capability("stream"):
        said = run(
            *("aiperf", "profile", "--model", MODEL, "--url", URL, "--api-key", KEY),
            *("--endpoint-type", "chat", "--streaming", "--request-count", "4", "--concurrency", "2"),
            *("--use-server-token-count", "--tokenizer", "builtin", "--ui", "none"),
            *("--synthetic-input-tokens-mean", "20", "--output-tokens-mean", "5"),
            folder=folder,
        )
        assert "Request Throughput" in said


main()
