"""The client's side of HTTP: connections, requests, bodies and responses, and the limits of each.

Owns accepting, TLS handshakes, the reading of requests and the writing of responses, with their bounds
on time, memory and number. Leaves who a client is to `identity`, and what
a request means to the handler.

Front door: `acceptor.Acceptor` and `connection.ClientConnection` for the server; `request.Request`,
`body.Body` and `response.Response` for the handler and the relay; `write_batching.WriteBatcher` for
whoever writes to a socket.

`acceptor` counts a connection in (`registry`) and makes a `connection`: that is a `request_reader`, for
incoming bytes, and a `client_writer`, for outgoing ones, with the time limits of `limits`. `checks`
refuses what is not valid HTTP; `half_close` and `slow_clients` notice clients that have gone or take
nothing.
"""
