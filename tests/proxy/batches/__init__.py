"""Tests of proxy/batches/."""
