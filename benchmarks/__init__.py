"""Benchmarks: what is promised as a number, measured against what it is promised against.

`shanfu bench GROUP` calls `rows(seconds)` of the module of that name; each row is one figure of `docs/performance.md`.
They measure a checkout: peers written by others come with the development tools, servers with the machine.

Files in reading order: measure (rows; both sides in turns), codec, crypto, store, tap, auth (hosts as processes under load),
token (phones at the key cloud's door), then what these stand on.
"""
