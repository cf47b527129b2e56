"""tests/runtime/engine/grammar."""
