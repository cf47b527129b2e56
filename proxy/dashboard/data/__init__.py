"""What pages show: the database in threads, and the live state of proxy and engine.

Owns bounds of time and number for what pages ask. Front door: `database.Database`, `live.LiveState`.
"""
