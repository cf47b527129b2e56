"""Who may see what: sessions, login, one-time links, and the guard before every request and socket.

Leaves keys to `proxy.identity`. Front door: `sessions.Sessions`, `guard.Guard`, `login.routes`.
"""
