"""Tests of runtime/engine/http/."""
