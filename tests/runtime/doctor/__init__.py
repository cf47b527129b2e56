"""tests/runtime/doctor."""
