"""Compare the network in PyTorch with the file in llama.cpp: what each says of the next token.

    python -m models.starter.compare [--model FILE] [--weights FILE]

Prints the largest difference of a log-probability among those above 1 in 1000, and at how many places
both would say the same token. What differs is the quantization and the arithmetic of both.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import torch
from torch.nn import functional as F

from models.starter import network
from models.starter.text import conversations, corpus
from models.starter.train import HERE, WORK, Encoder


def main() -> None:
    """Compare on the training text's first conversations."""
    parser = argparse.ArgumentParser(description="Compare PyTorch and llama.cpp.")
    parser.add_argument("--model", type=Path, default=HERE / "llamaserve-starter.gguf")
    parser.add_argument("--weights", type=Path, default=WORK / "weights.pt")
    arguments = parser.parse_args()
    weights = {name: w.detach() for name, w in torch.load(arguments.weights).items()}
    shape = network.Shape(vocabulary=len(weights["token_embd.weight"]))
    llama: Any = llama_cpp.Llama(
        str(arguments.model), n_ctx=0, logits_all=True, n_threads=1, verbose=False
    )
    encoder = Encoder(arguments.model)
    largest, same, places = 0.0, 0, 0
    for messages in conversations.conversations(list(corpus.threads(60)), 1):
        tokens, answered = encoder.conversation(messages)
        states = network.hidden(weights, shape, torch.tensor([tokens]))
        ours = F.linear(states, weights["token_embd.weight"])[0].log_softmax(-1).numpy()
        llama.reset()
        llama.eval(tokens)
        theirs = torch.tensor(np.array(llama.scores[: len(tokens)])).log_softmax(-1).numpy()
        spoken = np.flatnonzero(answered) - 1
        ours, theirs = ours[spoken], theirs[spoken]
        likely = ours > np.log(0.001)
        largest = max(largest, float(np.abs(ours - theirs)[likely].max(initial=0)))
        same += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        places += len(spoken)
    print(f"largest difference {largest:.3f}; the same token at {same} of {places} places")


if __name__ == "__main__":
    main()
