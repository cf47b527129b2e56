"""Tests of proxy/database/."""
