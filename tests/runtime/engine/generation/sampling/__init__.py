"""Tests of runtime/engine/generation/sampling/."""
