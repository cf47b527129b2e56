"""A hostile mix beside ordinary users for half a minute; `./console.sh bench hostile` takes longer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.bench.hostile import users_table, what_is_wrong
from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.hostile.ordinary import Chat, failures
from tests.support.hostile.trial import USERS, Trial, Use, run_trial

CALM_S = 5.0
ATTACK_S = 20.0
DEADLINE_S = 200.0
LEAST = 1
"""Whole answers for each user before the attack may end."""
MEMORY_BYTES = 192 * 2**20
"""How much the proxy's memory may grow."""


@pytest.fixture(scope="module")
def appliance() -> Iterator[Appliance]:
    """A running appliance with the settings of a new installation and a model that takes its time."""
    with Appliance(model=False, LLAMA_SERVER_N_THREADS="1") as appliance:
        build_model(appliance.root / "models" / "slow.gguf", shape=SLOW)
        appliance.start()
        yield appliance


# The attack goes on until everyone has been served, and the descriptors are waited for after it.
@pytest.mark.timeout(480)
async def test_ordinary_users_are_served_beside_a_hostile_mix(appliance: Appliance) -> None:
    """Nobody gets a 5xx or half an answer, nobody is left out, and the proxy gives back what it took."""
    pid = appliance.pid("proxy")
    trial = await run_trial(
        appliance, calm_s=CALM_S, attack_s=ATTACK_S, least=LEAST, deadline_s=DEADLINE_S
    )
    assert failures(trial.calm) == []
    assert failures(trial.attacked) == []
    served = trial.served()
    assert {user: served[user] >= LEAST for user in USERS} == dict.fromkeys(USERS, True), served
    assert trial.return_s is not None, (trial.before, trial.after)
    assert trial.peak.memory_bytes - trial.before.memory_bytes < MEMORY_BYTES
    assert appliance.pid("proxy") == pid
    assert idle_attacks(trial) == []


def idle_attacks(trial: Trial) -> list[str]:
    """The attacks that did nothing at all: the trial would prove nothing of them."""
    return [name for name, tally in trial.tallies.items() if not sum(tally.values()) - tally["cut"]]


def chat(user: str, *, status: int = 200, whole: bool = True) -> Chat:
    """A chat that lasted a second."""
    return Chat(user=user, status=status, sent_at=0.0, first_token_at=0.5, ended_at=1.0, whole=whole)


def trial_of(attacked: list[Chat], *, return_s: float | None = 1.0) -> Trial:
    """A trial in which nothing else happened."""
    use = Use(memory_bytes=50 * 2**20, descriptors=20)
    return Trial(
        calm=[chat(user) for user in USERS],
        calm_s=1.0,
        attacked=attacked,
        attacked_s=2.0,
        before=use,
        peak=use,
        after=use,
        tallies={"junk key": Counter({"401": 3})},
        return_s=return_s,
    )


@pytest.mark.parametrize(
    ("trial", "complaints"),
    [
        (trial_of([chat(user) for user in USERS]), []),
        (
            trial_of([*map(chat, USERS), chat("bob", status=503, whole=False)]),
            ["bob: status 503, no whole answer after 1.0 s"],
        ),
        (
            trial_of([*map(chat, USERS), chat("ann", whole=False)]),
            ["ann: status 200, no whole answer after 1.0 s"],
        ),
        (trial_of([chat("ann"), chat("bob")]), ["cem was not served beside the attack"]),
        (
            trial_of([chat(user) for user in USERS], return_s=None),
            ["20 descriptors 120 s after the attack, 20 before"],
        ),
    ],
    ids=["nobody harmed", "a 5xx", "half an answer", "one left out", "descriptors kept"],
)
def test_the_measurement_says_who_was_harmed(trial: Trial, complaints: list[str]) -> None:
    """A refusal, a stream that breaks off, a user who got nothing, and descriptors that stay."""
    assert what_is_wrong(trial) == complaints


def test_the_measurement_counts_both_stretches_of_time() -> None:
    """The table has the users' figures alone and beside the attack, and the ratio."""
    attacked = [chat("ann"), chat("bob", status=503, whole=False)]
    rows = {row["label"]: row for row in users_table(trial_of(attacked)).data()["rows"]}
    cells = {label: [cell["median"] for cell in row["cells"].values()] for label, row in rows.items()}
    assert cells["first token, s: p95"] == [0.5, 0.5]
    assert cells["whole answers"] == [3, 1]
    assert cells["whole answers a minute"] == [180, 30]
    assert cells["5xx"] == [0, 1]
