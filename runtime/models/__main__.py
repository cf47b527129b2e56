"""Check, list and select models, for the shell scripts of the console.

python -m runtime.models check FILE               exit 1, with the reason on stderr, if it is no model
python -m runtime.models list                     print one model a line; those in models/ by name
python -m runtime.models select [--model FILE]    print the path of the model to serve
"""

from __future__ import annotations

import sys
from pathlib import Path

from runtime.config import Config, ConfigError, load
from runtime.models.model_file import ModelError, find_models, read_model
from runtime.models.selection import HOW_TO_CHOOSE, last_used, select


def ask_terminal(names: list[str]) -> int:
    """Ask on the terminal which model to use, until the answer is one of the numbers shown.

    Raises:
        ModelError: the user ended the input.
    """
    for number, name in enumerate(names, 1):
        print(f"  {number}) {name}", file=sys.stderr)
    while True:
        print(f"Which model? [1-{len(names)}] ", end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline()
        if not answer:
            raise ModelError("no model was chosen", HOW_TO_CHOOSE)
        if answer.strip().isdecimal() and 1 <= int(answer) <= len(names):
            return int(answer) - 1


def _list(config: Config) -> None:
    folder = config.root / "models"
    models, problems = find_models(folder)
    paths = [model.path for model in models]
    last = last_used(config)
    if last is not None and folder not in last.parents:
        paths.append(last)
    for path in paths:
        print(path.relative_to(folder) if folder in path.parents else path)
    for problem in problems:
        print(f"warning: {problem}", file=sys.stderr)


def main(arguments: list[str]) -> int:
    """Run one of the commands. Returns 0; 1 with the reason on stderr; 2 for wrong usage."""
    try:
        match arguments:
            case ["check", file]:
                read_model(Path(file))
            case ["list"]:
                _list(load())
            case ["select", *rest] if not rest or (len(rest) == 2 and rest[0] == "--model"):
                terminal = sys.stdin.isatty() and sys.stderr.isatty()
                ask = ask_terminal if terminal else None
                print(select(load(), "".join(rest[1:]), ask=ask).path)
            case _:
                usage = "usage: python -m runtime.models check FILE | list | select [--model FILE]"
                print(usage, file=sys.stderr)
                return 2
    except (ModelError, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
