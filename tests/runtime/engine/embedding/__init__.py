"""Tests of runtime/engine/embedding/."""
