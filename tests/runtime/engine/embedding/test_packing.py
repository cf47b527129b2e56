"""Which inputs share a batch: turns between users, without a model."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.embedding.packing import Waiting, choose, serve

ROOM = {"n_tokens": 100, "n_inputs": 8}


def test_users_share_a_batch_however_much_each_wants() -> None:
    """The one who came with a thousand inputs gets half of it."""
    users = [Waiting(tag="many", lengths=[10] * 50), Waiting(tag="few", lengths=[10] * 4)]

    assert Counter(choose(users, {}, **ROOM)) == {"many": 4, "few": 4}


def test_a_newcomer_is_in_the_next_batch() -> None:
    """What others had before counts neither for nor against one who is new."""
    users = [Waiting(tag="old", lengths=[30] * 9), Waiting(tag="new", lengths=[30])]

    assert choose(users, {"old": 5000.0}, **ROOM)[:2].count("new") == 1


def test_weights_divide_a_batch() -> None:
    """Three times the weight, three times the tokens."""
    users = [
        Waiting(tag="heavy", weight=3.0, lengths=[10] * 50),
        Waiting(tag="light", lengths=[10] * 50),
    ]
    assert Counter(choose(users, {}, **ROOM)) == {"heavy": 6, "light": 2}


def test_an_input_longer_than_a_batch_is_one_by_itself() -> None:
    """It is evaluated, and nothing with it."""
    assert choose([Waiting(tag="a", lengths=[500, 5])], {}, **ROOM) == ["a"]


lengths = st.lists(st.integers(1, 150), min_size=1, max_size=12)


@given(st.dictionaries(st.sampled_from("abcd"), lengths, min_size=1))
def test_every_input_is_evaluated_once_and_no_batch_is_too_large(queues: dict[str, list[int]]) -> None:
    """Whatever the lengths; and no user waits for another's whole queue."""
    served: dict[str, float] = {}
    left = {tag: list(queue) for tag, queue in queues.items()}
    n_batches = 0
    while any(left.values()):
        users = [Waiting(tag=tag, lengths=queue[:8]) for tag, queue in left.items() if queue]
        chosen = choose(users, served, **ROOM)
        served = serve(users, served, chosen)
        taken = [left[tag].pop(0) for tag in chosen]
        assert taken
        assert sum(taken) <= 100 or len(taken) == 1
        assert len(taken) <= 8
        n_batches += 1
        if n_batches == len(queues):
            firsts = [len(left[tag]) < len(queue) for tag, queue in queues.items()]
            assert all(firsts)
    assert n_batches <= sum(map(len, queues.values()))
