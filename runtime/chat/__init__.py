"""A conversation with the model in the terminal: `./console.sh chat`.

Owns the conversation, the terminal's side of it, its client of the API, and the console's own key.
Leaves the making of keys to the proxy (proxy/admin/appliance.py). Front door: `python -m runtime.chat`.
"""
