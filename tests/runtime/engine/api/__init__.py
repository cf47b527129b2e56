"""tests/runtime/engine/api."""
