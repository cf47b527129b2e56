"""lm-evaluation-harness: tasks of our own, so that no data set is fetched.

One is generated through chats, the other chooses by the log probabilities of prompts (`echo`), which it
sends as lists of tokens.
"""

from __future__ import annotations

import json
from pathlib import Path

from report import ANSWER, KEY, MODEL, QUESTION, URL, capability
from support import new_folder, run
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHAT = """\
task: weather
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n\\n\\n"], max_gen_toks: 20}}
metric_list:
  - metric: exact_match
    ignore_punctuation: true
"""
CHOICES = """\
task: repetition
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{text}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
target_delimiter: ""
metric_list:
  - metric: acc
"""
LETTERS = "abcdefgh"
REPEATED = 150
"""The model repeats what stands so far back, or a little less: a letter that only repeats goes on."""


def main() -> None:
    """Evaluate both tasks."""
    folder = new_folder()
    with capability("chat"):
        questions = [{"question": QUESTION, "answer": ANSWER}]
        arguments = f"model={MODEL},base_url={URL}/v1/chat/completions,num_concurrent=1,max_retries=1"
        model = ("local-chat-completions", arguments, "--apply_chat_template")
        assert evaluated(folder, "weather", CHAT, questions, *model) == {"exact_match": 1}
    with capability("completions"):
        choices = [letter * 3 for letter in LETTERS]
        texts = [
            {"text": letter * REPEATED, "choices": choices, "label": label}
            for label, letter in enumerate(LETTERS)
        ]
        arguments = (
            f"model={MODEL},base_url={URL}/v1/completions,num_concurrent=2,max_retries=1,"
            f"tokenizer_backend=huggingface,tokenizer={tokenizer(folder)}"
        )
        model = ("local-completions", arguments, "--batch_size", "4")
        assert evaluated(folder, "repetition", CHOICES, texts, *model) == {"acc": 1}


def evaluated(
    folder: Path,
    name: str,
    task: str,
    documents: list[object],
    model: str,
    arguments: str,
    *options: str,
) -> dict[str, float]:
    """Run a task; its figures without their errors."""
    data, tasks, results = folder / f"{name}.json", folder / name, folder / f"{name}-results"
    data.write_text(json.dumps(documents))
    tasks.mkdir()
    (tasks / f"{name}.yaml").write_text(task.format(data=data))
    run(
        *("lm_eval", "--model", model, "--model_args", arguments, "--tasks", name),
        *("--include_path", str(tasks), "--output_path", str(results), *options),
        folder=folder,
        env={"OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        timeout_s=280,  # it reads its thousands of tasks first
    )
    (result,) = results.rglob("results_*.json")
    figures = json.loads(result.read_text())["results"][name]
    return {
        key.split(",")[0]: value for key, value in figures.items() if "," in key and "stderr" not in key
    }


def tokenizer(folder: Path) -> str:
    """Write the model's tokenizer: a token for each letter, numbered as in `scripted_model.py`."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokens += ["▁", *(chr(code) for code in range(0x21, 0x7F))]
    numbers = {token: number for number, token in enumerate(tokens)}
    made = Tokenizer(models.BPE(numbers, [], unk_token="<unk>"))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Replace("▁", " ")
    path = folder / "tokenizer"
    PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    return str(path)


main()
