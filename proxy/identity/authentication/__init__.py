"""Whose key a request carries, found once in the database and then in memory.

Owns the cache of known keys and how it is kept true (`change_listener`), the verifying of keys in
threads that users share fairly, and the bound on failed logins. Leaves to `keys` what a key is.

Front door: `authenticator.Authenticator`.
"""
