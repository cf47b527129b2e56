"""What operators see of a running proxy over HTTP: `GET /metrics`.

Owns who may see it and the forms of requests and responses. Leaves figures to `metrics`, and the users'
own paths to the handler.

Front door: `endpoints.Operators`.
"""
