"""The door for the JSON wire: phones, requestors, issuers and the token service call a process over HTTPS.

Who this is in the world: the front desk of a data centre. It is asked requests, one for each row of
`shanfu.messages.OPERATIONS` that a host behind it serves; it looks at who calls (an institution by certificate and access
token, a phone by the headers that the key cloud verifies), and asks the host by handing a frame to its hub. It knows no
business: what an operation does is the host's, and a call over HTTPS is worked in the same batches and commits as one over any
other link.

    door = web_door(WebConfig(port=8586, hosts=("tsp", "cloud"), tls=..., clients=...))
    run_host(host, store, links, clock=clock, doors=[door])

Files in reading order: app (the routes, from the table), gate (who may ask), clients (institutions and their secrets), tokens
(access tokens), limits (how often), shell (from requests to frames and back), refusals (problems for everything), frame (ids,
headers, the log line), openapi (the description and its page), peer (the certificate of a connection), server (uvicorn in the
host's loop).
"""

from shanfu.web.app import application
from shanfu.web.clients import Client, Clients, hashed, write_clients
from shanfu.web.gate import Gate
from shanfu.web.limits import Buckets, Rate
from shanfu.web.openapi import document
from shanfu.web.server import WebConfig, web_door
from shanfu.web.shell import HTTPShell
from shanfu.web.tokens import Tokens

__all__ = [
    "Buckets", "Client", "Clients", "Gate", "HTTPShell", "Rate", "Tokens", "WebConfig", "application", "document", "hashed",
    "web_door", "write_clients",
]  # fmt: skip
