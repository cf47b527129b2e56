"""Tests of runtime/engine/grammar/."""
