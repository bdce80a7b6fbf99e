"""How the cloud asks the token service: in the requestor's name, for a phone that waits.

A handler that asks gives no answer; when the service's reply (or the time-out) is there, the handler of that reply finishes the
phone's visit. `About` is what is noted meanwhile.
"""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from shanfu.cloud.books import CloudBooks
from shanfu.cloud.config import CloudConfig
from shanfu.cloud.devices import DeviceRow
from shanfu.hosts import Visit
from shanfu.messages import Problem

__all__ = ["About", "Answer", "Hears", "Serves", "ask_service", "known_device"]

Answer = Struct | Problem | None  # None: it comes later
Serves = dict[str, Callable[[Visit[CloudBooks], Any], Answer]]
Hears = dict[str, Callable[[Visit[CloudBooks], Any, bytes], Answer]]


class About(Struct, frozen=True):
    """What is noted beside a question to the token service: which phone, and which of its things."""

    device: str = ""
    token: str = ""
    sequence: int = 0


def known_device(visit: Visit[CloudBooks]) -> DeviceRow:
    """Return the phone that asks; the gate has seen it."""
    device = visit.books.device(visit.name)
    assert device is not None
    return device


def ask_service(
    visit: Visit[CloudBooks], config: CloudConfig, op: str, body: Struct, *, token: str = "", sequence: int = 0, key: str = ""
) -> Answer:
    """Ask the token service in the name of the app's requestor; its reply goes on with the phone's call."""
    device = known_device(visit)
    about = About(device.device, token, sequence)
    visit.ask(config.tsp, op, body, caller=f"requestor/{device.trid}", about=about, key=key)
    return None
