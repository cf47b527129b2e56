"""The dashboard: pages for users and administrators, in a process of its own.

Owns the web server of port 8002, sessions, pages and what they show. Users, keys, records and limits
are read and changed by the functions of the other rooms; live state is asked of the proxy over HTTP.
It never touches requests that are served.

Rooms, each on the one before: `access` (who may see what), `data` (what pages show), `layout` (the frame
round a page), `pages`.
Front door: `python -m proxy.dashboard`.
"""
