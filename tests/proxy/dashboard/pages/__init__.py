"""Tests of proxy/dashboard/pages/ without a browser."""
