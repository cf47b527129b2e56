"""lm-evaluation-harness: a task of our own, so that no data set is fetched."""

from __future__ import annotations

import json

from report import ANSWER, KEY, MODEL, QUESTION, URL, capability
from support import new_folder, run

TASK = """\
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


def main() -> None:
    """Evaluate one question through chats."""
    folder = new_folder()
    (folder / "data.json").write_text(json.dumps([{"question": QUESTION, "answer": ANSWER}]))
    (folder / "weather.yaml").write_text(TASK.format(data=folder / "data.json"))
    arguments = f"model={MODEL},base_url={URL}/v1/chat/completions,num_concurrent=1,max_retries=1"
    with capability("chat"):
        said = run(
            *("lm_eval", "--model", "local-chat-completions", "--model_args", arguments),
            *("--tasks", "weather", "--include_path", str(folder), "--apply_chat_template"),
            folder=folder,
            env={"OPENAI_API_KEY": KEY, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        )
        assert "exact_match" in said


main()
