"""runtime/engine/http."""
