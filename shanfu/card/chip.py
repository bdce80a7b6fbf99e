"""What a command handler may touch: the image that personalisation loaded, the durable objects, and the key ring.

Called by `application.py`, which makes one, and by the handlers in `commands.py` and `initiate.py`.
Sources: JR/T 0025.5 (data of the application), JR/T 0025.13 (available offline amount).
"""

from dataclasses import dataclass

from shanfu.card.image import CardImage
from shanfu.card.keys import KeyRing
from shanfu.card.live import LIVE_TAGS, LiveData
from shanfu.iso7816 import ResponseAPDU, StatusWord

__all__ = ["Chip", "refuse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One application's holdings."""

    image: CardImage
    live: LiveData
    ring: KeyRing

    @property
    def available_offline(self) -> bytes | None:
        """Tag 9F5D: what may still be paid offline, n12, here the balance; None unless personalised (JR/T 0025.13)."""
        return self.live.balance if 0x9F5D in self.image.data else None

    def value(self, tag: int) -> bytes | None:
        """Return a data object as it stands now: live before computed before personalised."""
        if tag in LIVE_TAGS:
            return self.live.value(tag)
        return self.available_offline if tag == 0x9F5D else self.image.data.get(tag)


def refuse(status: StatusWord) -> ResponseAPDU:
    """Answer with a status word alone."""
    return ResponseAPDU(b"", status)
