"""Tests of runtime/engine/generation/."""
