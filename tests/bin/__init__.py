"""Tests of bin/."""
