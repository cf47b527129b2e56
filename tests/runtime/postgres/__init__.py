"""Tests of runtime/postgres/."""
