"""Requests and responses of the other APIs."""
