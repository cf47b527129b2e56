"""Ordinary users beside a hostile mix: how it delays them, and what it costs the proxy.

    ./console.sh bench hostile [--minutes 10] [--model FILE] [--tls] [--set NAME=VALUE …] [--json FILE]

Starts an appliance of its own on free ports of 127.0.0.1 and leaves nothing behind. Three ordinary
users stream short chats, first alone for a fifth of the time (a minute at most), then beside two
attackers with keys and one without: `SHARES` in tests/support/hostile/mix.py says who does what.
Prints the users' time to the first token, what the proxy's process took, and what came of each
attack. `--model` names a GGUF file; without it a small one is built. `--set` gives the appliance a
setting, such as LLAMA_SERVER_N_THREADS=2.

Exits with 1 where a user got no whole answer to a request, was left out altogether, or where the proxy
kept descriptors that the attackers had opened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import trustme

from tests.bench.report import Table, machine
from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.hostile.ordinary import Chat, failures, percentile
from tests.support.hostile.trial import RETURN_S, USERS, Trial, run_trial

LONGEST_CALM_S = 60.0
MB = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the trial and print the tables; 1 where a user was harmed or a descriptor was kept."""
    options = _parser().parse_args(arguments)
    attack_s = options.minutes * 60
    found = machine()
    with ExitStack() as stack:
        settings = dict(options.set) | (_certificate(stack) if options.tls else {})
        appliance = stack.enter_context(_appliance(options.model, settings))
        appliance.start()
        calm_s = min(attack_s / 5, LONGEST_CALM_S)
        trial = asyncio.run(run_trial(appliance, calm_s=calm_s, attack_s=attack_s, tls=options.tls))
    tables = [users_table(trial), proxy_table(trial)]
    print("\n".join(f"{name}: {value}" for name, value in found.items()), end="\n\n")
    for table in tables:
        print(table.text())
    print(attacks_text(trial))
    if options.json:
        data = found | {"tables": [table.data() for table in tables], "attacks": trial.tallies}
        options.json.write_text(json.dumps(data, indent=2) + "\n")
    wrong = what_is_wrong(trial)
    print("\n".join(f"WRONG {line}" for line in wrong) or "nobody was harmed")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench hostile", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=_positive, default=10.0, help="how long the attack lasts")
    parser.add_argument("--model", type=_file, help="a GGUF file; a small one is built without it")
    parser.add_argument("--tls", action="store_true", help="serve over TLS, with half-open handshakes")
    parser.add_argument("--set", action="append", type=_setting, default=[], metavar="NAME=VALUE")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 24 * 60:
        raise argparse.ArgumentTypeError(f"must be above 0 and below a day: {text}")
    return value


def _file(text: str) -> Path:
    path = Path(text).resolve()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.startswith("LLAMA_"):
        raise argparse.ArgumentTypeError(f"must be LLAMA_NAME=VALUE: {text}")
    return name, value


def _appliance(model: Path | None, settings: dict[str, str]) -> Appliance:
    """An appliance that is not started: with this model, or a small one that takes one thread."""
    if model is None:
        appliance = Appliance(model=False, **{"LLAMA_SERVER_N_THREADS": "1"} | settings)
        build_model(appliance.root / "models" / "slow.gguf", shape=SLOW)
    else:
        appliance = Appliance(model=False, **settings)
        os.symlink(model, appliance.root / "models" / model.name)
    return appliance


def _certificate(stack: ExitStack) -> dict[str, str]:
    """Settings for TLS, with a certificate that lasts as long as the context."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    made = trustme.CA().issue_cert("localhost", "127.0.0.1")
    made.private_key_pem.write_to_path(folder / "key.pem")
    made.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return {
        "LLAMA_PROXY_TLS_CERT": str(folder / "cert.pem"),
        "LLAMA_PROXY_TLS_KEY": str(folder / "key.pem"),
    }


def users_table(trial: Trial) -> Table:
    """The ordinary users' figures, alone and beside the attack."""
    alone, beside = "alone", "beside attack"
    table = Table(
        title=f"{len(USERS)} ordinary users", columns=[alone, beside], ratios=[(beside, alone)]
    )
    stretches = ((alone, trial.calm, trial.calm_s), (beside, trial.attacked, trial.attacked_s))
    for column, chats, seconds in stretches:
        first_s = [chat.first_token_s for chat in chats if chat.first_token_s is not None]
        table.add("first token, s: p50", column, percentile(first_s, 0.5))
        table.add("first token, s: p95", column, percentile(first_s, 0.95))
        table.add("whole answers", column, sum(chat.whole for chat in chats))
        table.add("whole answers a minute", column, 60 * sum(chat.whole for chat in chats) / seconds)
        table.add("5xx", column, sum(chat.status >= 500 for chat in chats))
        table.add("broken or incomplete", column, len(failures(chats)))
    return table


def proxy_table(trial: Trial) -> Table:
    """Memory and descriptors of the proxy's process."""
    table = Table(title="The proxy's process", columns=["before", "peak", "after"])
    for column, use in (("before", trial.before), ("peak", trial.peak), ("after", trial.after)):
        table.add("memory, MB", column, use.memory_bytes / MB)
        table.add("descriptors", column, use.descriptors)
    if trial.return_s is not None:
        table.notes.append(f"descriptors given back {trial.return_s:.1f} s after the attack")
    return table


def attacks_text(trial: Trial) -> str:
    """How often each attack was made, and what came of it."""
    lines = ["What came of the attacks", ""]
    for name, tally in trial.tallies.items():
        counts = ", ".join(f"{what} {count}" for what, count in sorted(tally.items()))
        lines.append(f"{name:30} {counts or 'nothing'}")
    return "\n".join([*lines, ""])


def what_is_wrong(trial: Trial) -> list[str]:
    """Every failure and descriptor left open, one line each."""
    wrong = [_failure_line(chat) for chat in failures([*trial.calm, *trial.attacked])]
    served = trial.served()
    wrong += [f"{user} was not served beside the attack" for user in USERS if not served[user]]
    if trial.return_s is None:
        wrong.append(
            f"{trial.after.descriptors} descriptors {RETURN_S:.0f} s after the attack, "
            f"{trial.before.descriptors} before"
        )
    return wrong


def _failure_line(chat: Chat) -> str:
    waited_s = chat.ended_at - chat.sent_at
    return f"{chat.user}: status {chat.status}, no whole answer after {waited_s:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
