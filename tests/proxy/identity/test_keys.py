"""The form of keys, their checksum and their hashes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.identity import keys


def test_a_key_has_the_promised_form() -> None:
    """`lsk_`, 12 characters of public id, 32 of secret, 6 of checksum, no two alike."""
    made = [keys.create_key() for _ in range(50)]
    for new in made:
        assert re.fullmatch(r"lsk_[0-9A-Za-z]{50}", new.key)
        assert new.public_id == new.key[4:16] == keys.public_id_of(new.key)
    assert len({new.public_id for new in made}) == len({new.key[16:48] for new in made}) == 50


def test_the_hash_verifies_this_key_alone_and_does_not_hold_it() -> None:
    """A passlib hash; neither it nor the repr shows the key."""
    new, other = keys.create_key(), keys.create_key()
    assert keys.verify_key(new.key, new.hash)
    assert not keys.verify_key(other.key, new.hash)
    assert new.hash.startswith("$pbkdf2-sha256$")
    assert new.key[16:] not in new.hash
    assert new.key not in repr(new)
    assert new.hash not in repr(new)


def test_the_checksum_is_crc32_in_base62() -> None:
    """Of all before it, most significant digit first, so that scanners can check it."""
    key = keys.create_key().key
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    value = 0
    for character in key[48:]:
        value = value * 62 + alphabet.index(character)
    crc = 0xFFFFFFFF
    for byte in key[:48].encode():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    assert value == crc ^ 0xFFFFFFFF


@given(st.integers(4, 53), st.sampled_from("0Aaz9Z"))
def test_any_single_wrong_character_is_noticed(position: int, character: str) -> None:
    """Without asking the database."""
    key = keys.create_key().key
    mistyped = key[:position] + character + key[position + 1 :]
    assert (keys.public_id_of(mistyped) is None) == (mistyped != key)


@pytest.mark.parametrize(
    "change",
    [
        lambda key: "",
        lambda key: key[:-1],
        lambda key: key + "0",
        lambda key: key + "\n",
        lambda key: " " + key,
        lambda key: key.replace("lsk_", "sk-", 1),
        lambda key: key.lower() + "\0",
        lambda key: "lsk_" + "\u0661" * 50,
        lambda key: "\udcff" * 54,
    ],
)
def test_what_is_no_key_has_no_public_id(change: object) -> None:
    """Too long, too short, another prefix, other digits: nothing raises."""
    assert callable(change)
    assert keys.public_id_of(change(keys.create_key().key)) is None


def test_a_masked_key_shows_its_ends_only() -> None:
    """The first 8 and the last 4 characters; less of short ones."""
    assert keys.mask("lsk_abcdefghijklmnopqrstuvwxyz") == "lsk_abcd…wxyz"
    assert keys.mask("sk-secret") == "sk-s…"
    assert keys.mask("") == "…"
