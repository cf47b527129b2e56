"""The model server: llama_cpp.server's app on one GGUF model, with a scheduler and guards of our own.

Rooms, from the outside to the inside: `http` (ASGI, routes, what reaches the client), `api` (what
requests may ask and responses look like), `generation` (the scheduler and all that it owns),
`grammar` (what a response is held to); beside them `watchdog` (a process that hangs is replaced).
`__main__.py` runs the process, `app.py` is the whole as one ASGI app, `stock.py` all that is known of
llama_cpp.server, `tuning.py` the settings that the machine decides. `idle.py` and `asleep.py` free the
memory when nobody asks.
"""
