"""Tests of the shapes of responses."""
