"""What a command handler may touch: the image that personalisation loaded, the durable objects, the key ring, the session.

Called by `application.py`, which makes one, and by the handlers, which `commands.py` lists.
Sources: JR/T 0025.5 (data of the application), JR/T 0025.13 (available offline amount), ISO/IEC 7816-4 5.1.3.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from shanfu.card.image import CardImage
from shanfu.card.keys import KeyRing
from shanfu.card.live import LIVE_TAGS, LiveData
from shanfu.card.session import Session
from shanfu.iso7816 import CommandAPDU, ResponseAPDU, StatusWord

__all__ = ["WHOLE_ANSWER", "Chip", "refuse", "wants_part"]

WHOLE_ANSWER = 0x100  # Le 00


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One application's holdings."""

    image: CardImage
    live: LiveData
    ring: KeyRing
    session: Session = field(default_factory=Session)
    random: Callable[[int], bytes] = os.urandom

    @property
    def available_offline(self) -> bytes | None:
        """Tag 9F5D: what may still be paid offline, n12, here the balance; None unless personalised (JR/T 0025.13)."""
        return self.live.balance if 0x9F5D in self.image.data else None

    def value(self, tag: int) -> bytes | None:
        """Return a data object as it stands now: live before computed before personalised."""
        live = self.live.value(tag)
        if live is not None or tag in LIVE_TAGS:
            return live
        return self.available_offline if tag == 0x9F5D else self.image.data.get(tag)

    def number(self, tag: int) -> int | None:
        """Return a binary counter or limit, or None if the issuer set none."""
        value = self.value(tag)
        return None if value is None else int.from_bytes(value)

    def minor(self, tag: int) -> int | None:
        """Return an n12 amount in minor units, or None if the issuer set none."""
        value = self.value(tag)
        return None if value is None else int(value.hex())


def refuse(status: StatusWord | int) -> ResponseAPDU:
    """Answer with a status word alone."""
    return ResponseAPDU(b"", status)


def wants_part(command: CommandAPDU) -> bool:
    """Whether an Le asks for half an answer: refused before a number is spent on it."""
    return (command.le or WHOLE_ANSWER) < WHOLE_ANSWER
