"""The room between the socket and a request's meaning: ASGI, keys, routes, errors, framing, usage told.

Leaves what a request asks for to `api` and its generation to `generation`. Front door: `routes.Routes`
(the API of a loaded model) and `generated.Endpoint` (what the stock app serves generating paths with).
"""
