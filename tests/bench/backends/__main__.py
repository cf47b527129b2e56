"""What several engines behind several proxies gain, and what they cost.

    ./console.sh bench backends [--part NAME …] [--rounds N] [--requests N]

| part | what it prints |
|---|---|
| throughput | tokens a second of three engines behind two proxies, and of one engine behind two |
| failures | under load one engine is killed and one cut off: what was lost, how long the others waited |
| leases | seconds until the slots of a proxy that is killed are used by the other one |
| conversations | time to the first token of later turns, with the memory of engines and without it |
| cost | the proxy's processor time, and the time, for a small chat request with 1, 3 and 100 engines |

The first three need root: each engine is in a network namespace of its own, with a share of SHARE
processor cores that the kernel holds it to (a control group), so that three engines are three times one
engine and proxies, PostgreSQL and clients have the rest of the machine. On two cores that rest is 0.8 of
a core. Without such shares three engines on two cores answer no faster than one that may use both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from tests.bench.backends import conversations, cost, failures, leases, throughput
from tests.support.namespaces import NoNamespacesError

PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "throughput": throughput.measure,
    "failures": failures.measure,
    "leases": leases.measure,
    "conversations": conversations.measure,
    "cost": cost.measure,
}


def main() -> None:
    """Run the parts, all by default."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement but failures")
    parser.add_argument("--requests", type=int, default=2_000, help="for each cost")
    arguments = parser.parse_args()
    for name in arguments.part:
        began = time.monotonic()
        try:
            PARTS[name](arguments)
        except (NoNamespacesError, PermissionError) as error:
            print(f"{name} needs root, with the right to make networks and control groups: {error}")
            continue
        print(f"({name} took {time.monotonic() - began:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
