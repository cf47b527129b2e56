"""Make the starter model: generate the text, learn the tokenizer, train, write the GGUF file.

    python -m models.starter.train [--start FILE] [--steps N] [--out FILE] [--work DIRECTORY]

Runs on a processor, in the environment of `requirements.txt` beside this file. Every choice has a seed;
README.md tells what is the same when it runs again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F

from models.starter import gguf_file, network
from models.starter.network import Shape
from models.starter.text import conversations, corpus
from models.starter.text.facts import Thread
from models.starter.text.wording import Chance

HERE = Path(__file__).resolve().parent
WORK = Path("/tmp/starter")  # noqa: S108 - of a developer's machine
SEED = 7
VOCABULARY = 1536
STEPS = 1800
BATCH_TOKENS = 2048
PART_THREADS = 20_000
"""Threads that become conversations and tokens together, so that the first step comes soon."""
MUON_RATE, ADAM_RATE, MATRIX_RATE = 0.006, 0.004, 0.002
WARM_UP_STEPS = 60
BEGINNING_TOKENS = 8
Example = tuple[list[int], list[bool]]
"""Tokens, and which of them the model has to say itself."""


def learn_tokenizer(threads: list[Thread]) -> tuple[list[str], list[str]]:
    """Byte-level BPE: the tokens and the merges. Texts are split as SPLITTING has llama.cpp do it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[^(\s|.,!?…。，、।۔،)]+"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(gguf_file.CONTROLS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # A question as often as an answer, though the answers are always the same.
    texts = [text for thread in threads[:40_000] for turn in thread for text in turn]
    tokenizer.train_from_iterator(texts, trainer)
    state = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in state["merges"]]
    return [*gguf_file.CONTROLS, *tokens], merges


class Encoder:
    """Turns conversations into tokens with llama.cpp's own tokenizer, as the server does."""

    def __init__(self, vocabulary: Path) -> None:
        self._llama = llama_cpp.Llama(str(vocabulary), vocab_only=True, verbose=False)
        self._known: dict[str, list[int]] = {}

    def text(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._llama.tokenize(text.encode(), add_bos=False, special=False)
        return self._known[text]

    def conversation(self, messages: list[conversations.Message]) -> Example:
        """As the chat template writes it."""
        tokens, answered = [gguf_file.BEGIN], [False]
        for role, content in messages:
            said = self.text(content.strip())
            tokens += [gguf_file.CONTROLS.index(f"<|{role}|>"), *said]
            answered += [False] + [role == "assistant"] * len(said)
            if role == "assistant":
                tokens.append(gguf_file.END)
                answered.append(True)
        return tokens, answered


def batches(encoder: Encoder, threads: list[Thread], context: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Tokens and targets without end, each batch of conversations of about the same length.

    Targets are -100 where there is nothing to learn.
    """
    part = 0
    while True:
        begin = part * PART_THREADS % len(threads)
        part += 1
        chance = Chance(SEED + part)
        made = conversations.conversations(threads[begin : begin + PART_THREADS], SEED + part)
        examples = [_shortened(chance, encoder.conversation(messages)) for messages in made]
        examples = [example for example in examples if len(example[0]) <= context]
        examples.sort(key=lambda example: len(example[0]))
        groups: list[list[Example]] = []
        group: list[Example] = []
        for example in examples:
            if group and len(example[0]) * (len(group) + 1) > BATCH_TOKENS:
                groups.append(group)
                group = []
            group.append(example)
        chance.shuffle(groups)
        for chosen in groups:
            length = len(chosen[-1][0])
            tokens = torch.zeros(len(chosen), length, dtype=torch.long)
            targets = torch.full((len(chosen), length), -100)
            for row, (ids, answered) in enumerate(chosen):
                tokens[row, : len(ids)] = torch.tensor(ids)
                wanted = [i if mine else -100 for i, mine in zip(ids[1:], answered[1:], strict=True)]
                targets[row, : len(ids) - 1] = torch.tensor(wanted)
            yield tokens, targets


def _shortened(chance: Chance, example: Example) -> Example:
    """Mostly only the beginning of the last answer: that is where what was understood shows."""
    tokens, answered = example
    begin = len(answered) - answered[::-1].index(False)
    end = begin + BEGINNING_TOKENS if chance.happens(0.7) else len(tokens)
    return tokens[:end], answered[:end]


def rate_at(step: int, steps: int) -> float:
    """A part of the full rate: up for a moment, level for half of the steps, then down to nothing."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return warm * min(1.0, (steps - step) / (0.5 * steps))


class Plan:
    """How many steps there are. SIGUSR1 in the first half ends that half: to stop early, and well."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.step = 0
        signal.signal(signal.SIGUSR1, lambda *_: self._turn())

    def _turn(self) -> None:
        self.steps = min(self.steps, 2 * self.step)
        print(f"{self.steps} steps", flush=True)


def train(
    weights: dict[str, Tensor],
    source: Iterator[tuple[Tensor, Tensor]],
    shape: Shape,
    steps: int,
    work: Path,
    *,
    precision: torch.dtype,
) -> None:
    """Train the weights, which are float32, in place, computing with `precision`. Those of every 100th
    step are kept in `work`."""
    for weight in weights.values():
        weight.requires_grad_()
    optimizers = _optimizers(weights, precision)
    began, seen, mean = time.monotonic(), 0, 0.0
    plan = Plan(steps)
    while plan.step < plan.steps:
        step = plan.step
        plan.step += 1
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * rate_at(step, plan.steps)
        tokens, targets = next(source)
        seen += tokens.numel()
        loss = _loss({name: w.to(precision) for name, w in weights.items()}, shape, tokens, targets)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        mean = loss.item() if step == 0 else 0.97 * mean + 0.03 * loss.item()
        if step % 25 == 0 or plan.step == plan.steps:
            seconds = time.monotonic() - began
            speed = f"{seconds:6.0f} s {seen / seconds:6.0f} tokens/s"
            print(f"{step:5} loss {mean:.4f} {speed}", flush=True)
            if not math.isfinite(mean):
                raise SystemExit("the training has diverged")
        if step % 100 == 99:
            torch.save(weights, work / "weights.pt")


def _optimizers(weights: dict[str, Tensor], precision: torch.dtype) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, which needs fewer steps, where bfloat16 is fast: it computes with that."""
    matrices = [w for name, w in weights.items() if w.ndim == 2 and name != "token_embd.weight"]
    others = [w for name, w in weights.items() if w.ndim == 1 or name == "token_embd.weight"]
    if precision == torch.bfloat16:
        first: torch.optim.Optimizer = torch.optim.Muon(
            matrices, lr=MUON_RATE, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
        )
    else:
        first = torch.optim.AdamW(matrices, lr=MATRIX_RATE, betas=(0.9, 0.98), weight_decay=0.02)
    return [first, torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0)]


def _loss(weights: dict[str, Tensor], shape: Shape, tokens: Tensor, targets: Tensor) -> Tensor:
    states = network.hidden(weights, shape, tokens)
    wanted = targets != -100
    logits = F.linear(states[wanted], weights["token_embd.weight"])
    return F.cross_entropy(logits.float(), targets[wanted])


def beginning(
    start: Path | None, threads: list[Thread]
) -> tuple[list[str], list[str], dict[str, Tensor]]:
    """Tokens, merges and the weights before the training: a file's, or new ones."""
    if start:
        tokens, merges, arrays = gguf_file.read(start)
        return tokens, merges, {name: torch.from_numpy(array) for name, array in arrays.items()}
    tokens, merges = learn_tokenizer(threads)
    return tokens, merges, network.initial(Shape(vocabulary=len(tokens)), SEED)


def main() -> None:
    """The whole way, from nothing to the file."""
    parser = argparse.ArgumentParser(description="Make the starter model.")
    parser.add_argument(
        "--conversations", type=int, default=corpus.THREADS, help="of the text's beginning"
    )
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--start", type=Path, help="a model of this kind whose training goes on")
    parser.add_argument(
        "--bfloat16",
        action="store_true",
        help="three times as fast where the processor has it, ten times as slow where it has not",
    )
    parser.add_argument("--threads", type=int, default=2, help="of the processor")
    parser.add_argument("--out", type=Path, default=HERE / "llamaserve-starter.gguf")
    parser.add_argument("--work", type=Path, default=WORK, help="for what is made on the way")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    began = time.monotonic()
    threads = list(corpus.threads(arguments.conversations))
    tokens, merges, weights = beginning(arguments.start, threads)
    shape = Shape(vocabulary=len(tokens))
    vocabulary = gguf_file.write(arguments.work / "vocabulary.gguf", shape, tokens, merges)
    print(f"{len(threads)} threads, {len(tokens)} tokens, {time.monotonic() - began:.0f} s", flush=True)
    source = batches(Encoder(vocabulary), threads, shape.context)
    precision = torch.bfloat16 if arguments.bfloat16 else torch.float32
    train(weights, source, shape, arguments.steps, arguments.work, precision=precision)
    torch.save(weights, arguments.work / "weights.pt")
    arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
    gguf_file.write(arguments.out, shape, tokens, merges, arrays)
    digest = hashlib.sha256(arguments.out.read_bytes()).hexdigest()
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes, SHA-256 {digest}")
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    main()
