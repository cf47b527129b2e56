"""runtime/engine/grammar."""
