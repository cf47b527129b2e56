"""A hostile mix beside ordinary users for half a minute; `./console.sh bench hostile` takes longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.appliance import Appliance
from tests.support.gguf import SLOW, build_model
from tests.support.hostile.ordinary import failures
from tests.support.hostile.trial import USERS, Trial, run_trial

CALM_S = 5.0
ATTACK_S = 20.0
DEADLINE_S = 150.0
LEAST = 2
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
@pytest.mark.timeout(420)
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
