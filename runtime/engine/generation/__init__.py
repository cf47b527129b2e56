"""runtime/engine/generation."""
