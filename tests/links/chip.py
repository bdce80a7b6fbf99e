"""A little chip for the links' tests: it answers SELECT with the name it was selected by, and can be slow or torn away."""

import time

from shanfu.errors import DecodeError, LinkClosed
from shanfu.iso7816 import CommandAPDU


class Chip:
    """Answers SELECT; everything else is 6D00, or 6E00 for a class that is not 00."""

    def __init__(
        self, *, interfaces: tuple[str, ...] = ("contactless", "contact"), slow_s: float = 0.0, torn_after: int | None = None
    ) -> None:
        self._interfaces, self._slow_s, self._left = interfaces, slow_s, torn_after
        self.powered: str | None = None
        self.asked: list[bytes] = []

    def power_on(self, interface: str) -> bytes:
        self.powered = str(interface) if interface in self._interfaces else None
        return b"\x3b\x00" if self.powered else b""

    def power_off(self) -> None:
        self.powered = None

    def answer(self, command: bytes) -> bytes:
        self.asked.append(command)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise LinkClosed("torn away")
        time.sleep(self._slow_s)
        try:
            apdu = CommandAPDU.parse(command)
        except DecodeError:
            return b"\x67\x00"
        if apdu.cla:
            return b"\x6e\x00"
        return apdu.data + b"\x90\x00" if apdu.ins == 0xA4 else b"\x6d\x00"
