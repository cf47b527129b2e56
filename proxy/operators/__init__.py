"""What operators see of a running proxy over HTTP: `GET /metrics`, and the admin API below `/admin/`.

Owns who may see it and the forms of requests and responses. Leaves figures to `metrics`, what
is done to users to `identity` and `admin`, and the users' own paths to the handler.

Front door: `endpoints.Operators`.
"""
