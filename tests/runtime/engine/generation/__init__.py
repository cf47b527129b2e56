"""tests/runtime/engine/generation."""
