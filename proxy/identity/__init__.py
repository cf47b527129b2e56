"""Who sends a request, and what they may.

Owns users, keys, invitations, the authentication of requests, the limits stored with a user, and the
requests under way by key. Leaves to ratelimit/ whether a window has room, and to
scheduling/ whose turn it is.

Front door: `authentication.authenticator.Authenticator`, `principal.Principal`,
`active_requests.ActiveRequests`; for the user command `users`, `keys` and `invitations`.
"""
