"""The bounds on the memory of responses, and who is cut off when they are reached."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.edge.response import Response
from proxy.edge.slow_clients import LEAST_BYTES_PER_S, TURN_GRACE_S, SlowClients

LIMIT, USER_LIMIT, STALL_S = 1000, 400, 60.0


class Transport:
    """Holds `size` bytes that the client has not taken."""

    def __init__(self) -> None:
        self.size = 0
        self.closed = False

    def get_write_buffer_size(self) -> int:
        return self.size

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Client:
    """A client that takes what the test says."""

    def __init__(self) -> None:
        self.transport = Transport()

    @property
    def writing_paused(self) -> bool:
        return self.transport.size > 0


class FakeRequest:
    """The part of a request that a response needs."""

    def __init__(self) -> None:
        self.client = Client()


class World:
    """Responses under way, and a clock that goes on by `tick_s` whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tick_s = 0.0
        self.slow_clients = SlowClients(
            limit_bytes=LIMIT,
            user_limit_bytes=USER_LIMIT,
            stall_timeout_s=STALL_S,
            clock=self._clock,
        )

    def _clock(self) -> float:
        self.now += self.tick_s
        return self.now

    def response(self, user_id: int, size: int = 0) -> Response:
        """A response of which `size` bytes have been written and not taken."""
        response = Response(cast("Any", FakeRequest()))
        self.slow_clients.watch(response, user_id)
        write(response, size)
        return response


def transport_of(response: Response) -> Transport:
    return cast("Transport", response.request.client.transport)


def write(response: Response, size: int) -> None:
    response.response_bytes += size
    transport_of(response).size += size


@pytest.fixture
def world() -> World:
    """An empty one."""
    return World()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5), st.integers(0, 300)), max_size=60))
def test_what_is_held_is_the_sum_of_what_waits(steps: list[tuple[int, int, int]]) -> None:
    """Whatever responses do and in whichever order they end; nothing is left in the end."""
    world = World()
    responses = [world.response(number // 2) for number in range(6)]
    for action, number, size in steps:
        response = responses[number]
        if action == 0:
            write(response, size)
        elif action == 1:
            transport_of(response).size = max(0, transport_of(response).size - size)
        else:
            world.slow_clients.release(response)
            responses[number] = world.response(number // 2)
        world.slow_clients.look()
        assert world.slow_clients.held_bytes == sum(transport_of(one).size for one in responses)
    for response in responses:
        world.slow_clients.release(response)
    assert world.slow_clients.held_bytes == 0


async def test_a_user_with_room_does_not_wait(world: World) -> None:
    """Up to the user's own bound, whatever other users hold of theirs."""
    world.response(1, USER_LIMIT)
    await world.slow_clients.wait_for_room(world.response(2, USER_LIMIT), 2)


async def test_when_all_memory_is_used_up_whoever_holds_most_gives_way(world: World) -> None:
    """The largest response of that user is cut off; those who hold less go on."""
    heavy = [world.response(1, size) for size in (100, 200, 100)]
    others = [world.response(user, 300) for user in (2, 3)]
    world.slow_clients.look()
    assert world.slow_clients.held_bytes == LIMIT
    newcomer = world.response(4, 50)
    await world.slow_clients.wait_for_room(newcomer, 4)
    assert [response.stalled for response in heavy] == [False, True, False]
    assert not any(response.stalled for response in [*others, newcomer])


async def test_over_the_bound_a_client_that_takes_nothing_in_its_turn_is_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the grace, so that the turn is free for others."""
    monkeypatch.setattr("proxy.edge.slow_clients.CHECK_S", 0)
    response = world.response(1, USER_LIMIT + 1)
    world.tick_s = 1.0
    with pytest.raises(ConnectionError):
        await world.slow_clients.wait_for_room(response, 1)
    assert response.stalled
    assert TURN_GRACE_S <= world.now <= TURN_GRACE_S + 2


def test_a_client_that_takes_nothing_is_cut_off_after_the_stall_timeout(world: World) -> None:
    """Not before, and not one whose engine is slow."""
    behind, served = world.response(1, 100), world.response(1)
    for second in range(int(STALL_S) + 1):
        assert not behind.stalled
        world.now = float(second)
        world.slow_clients.look()
    assert (behind.stalled, served.stalled) == (True, False)


@pytest.mark.parametrize(("rate", "is_cut_off"), [(1, True), (2 * LEAST_BYTES_PER_S, False)])
def test_a_client_that_takes_next_to_nothing_is_cut_off_too(
    world: World, rate: int, is_cut_off: bool
) -> None:
    """A byte now and then does not hold the memory for ever."""
    response = world.response(1, 1_000_000)
    for second in range(300):
        world.now = float(second)
        world.slow_clients.look()
        transport_of(response).size -= rate
    assert response.stalled == is_cut_off
