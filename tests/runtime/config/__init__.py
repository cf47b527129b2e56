"""Tests of runtime/config/."""
