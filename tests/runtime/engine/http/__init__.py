"""tests/runtime/engine/http."""
