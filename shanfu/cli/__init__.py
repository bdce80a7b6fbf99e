"""The command line: the door through which a person reaches the sandbox and the parties.

Commands are loaded when they are called, so that `shanfu --help` stays quick. Data goes to stdout, talk to stderr; `--json`
gives data only. Exit codes: 0 approved or done, 1 declined or a check failed, 2 usage or configuration, 3 a peer cannot be
reached, 4 a cryptographic failure, 5 internal.

Files: `main.py` (the group, errors to exit codes), `console.py` (how things are shown), then one file per command.
"""

from shanfu.cli.main import main

__all__ = ["main"]
