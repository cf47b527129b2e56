"""The cost of a request through a gateway: ours beside others, in one run. See scenarios.py."""
