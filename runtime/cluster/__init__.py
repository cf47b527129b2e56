"""The engine on several machines, by Ray Serve: `./console.sh cluster`.

Owns the replica (`replica`: our engine in a process of Ray's), what replicas answer for all
(`ingress`), how they are deployed (`deployment`), and Ray's processes on this machine (`node`). It runs
in an environment of its own (`runtime/requirements-cluster.txt`); nothing else imports it or Ray. Leaves
users, limits and turns to the proxy, which stands in front of it.
"""
