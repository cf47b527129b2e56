"""tests/runtime/models."""
