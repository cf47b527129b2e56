"""The engine's side of HTTP: sends requests to it and reads its responses.

Owns which paths are forwarded (`routes`), which headers pass (`headers`), the connections (`pool`,
`connection`), the parsing of responses (`parser`), how a request can fail (`failures`), and asking the
engine how it is (`readiness`). Leaves to `scheduling` when a request is sent, to the handler how the
response goes to the client, and to `edge` the client's side.

Front door: `relay.Relay`, whose `send` yields an `UpstreamResponse`; `routes.route_of`;
`readiness.engine_status`.
"""
