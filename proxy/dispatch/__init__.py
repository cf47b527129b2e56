"""A request's way to an engine and its account: turns, early checks, settlement.

Owns waiting for a turn, trying again on another engine, and what is charged and recorded at the end.
Leaves to `scheduling` whose turn it is, to `upstream` how a request is sent, to the handler the order of
a request's steps.

Front door: `dispatcher.Dispatcher`, `early_checks.EarlyChecks`, `settlement.Accounts`.
"""
