"""Tests of runtime/engine/api/."""
