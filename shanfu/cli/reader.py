"""Where a card comes from that is not in this process: a reader of this machine, or a card's own address.

`--reader` takes a part of a PC/SC reader's name, or `tcp:HOST:PORT`. `--record FILE.trace` writes down what is said. A payment
takes test cards alone: a stranger's card is put back before its number goes anywhere, since nothing here may charge it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from shanfu.cli.console import note
from shanfu.errors import ConfigError, DecodeError

__all__ = [
    "StrangersCard", "TestCardsOnly", "hide", "may_hide_a_number", "open_card", "powered", "reader_option", "record_option",
    "recorded", "test_bins", "wait_option",
]  # fmt: skip

CERTIFICATE = 0x9F46  # ICC Public Key Certificate
F = TypeVar("F", bound=Callable[..., Any])

reader_option = click.option("--reader", help="A card in a reader: part of its name (`shanfu readers`), or tcp:HOST:PORT.")
wait_option = click.option(
    "--wait", type=click.FloatRange(min=0), default=20.0, show_default=True, help="Seconds to wait for a card in the reader."
)
record_option = click.option(
    "--record", type=click.Path(dir_okay=False, path_type=Path), help="Write what reader and card say into this trace."
)


def test_bins() -> list[str]:
    """Return how the sandbox's card and token numbers begin."""
    from shanfu.sandbox import BINS, TOKEN_BINS

    return [one.prefix for one in (*BINS, *TOKEN_BINS)]


@contextmanager
def open_card(where: str, *, wait_s: float) -> Iterator[Any]:
    """Reach the card in a reader, or the one that listens at an address; LinkError says in a line what is missing."""
    from shanfu.links import PCSCCard, RemoteCard

    if where.startswith("tcp:"):
        host, port = _address(where.removeprefix("tcp:"))
        with RemoteCard.dial(host, port) as card:
            yield card
        return
    with PCSCCard(where, wait_s=wait_s, waiting=lambda name: note(f"{name}: waiting for a card")) as card:
        yield card


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 0xFFFF:
        raise ConfigError(f"--reader tcp:{text}: write it like tcp:127.0.0.1:35964")
    return host, int(port)


def powered(card: Any) -> str:
    """Give a card power over the interface that it has; return its name."""
    from shanfu.card import Interface

    for interface in (Interface.CONTACTLESS, Interface.CONTACT):
        if card.power_on(interface):
            return str(interface)
    raise ConfigError("card: has no interface that answers")


@contextmanager
def recorded(card: Any, path: Path | None) -> Iterator[Any]:
    """Listen to a card, and write the trace at the end, whatever the end: in clear if it is a test card's, else masked."""
    if path is None:
        yield card
        return
    from shanfu.links import Recorded, is_test_card

    listening = Recorded(card)
    _check_writable(path)
    try:
        yield listening
    finally:
        trace = listening.trace()
        clear = is_test_card(trace, test_bins())
        path.write_text(str(trace if clear else trace.masked(hide)))
        note(f"{path}: {len(trace.exchanges)} exchanges{'' if clear else ', masked: not known as a test card'}")


def may_hide_a_number(tag: int) -> bool:
    """Say whether an element of a real card is shown by its length alone.

    Those are what we do not know, and the card's certificate, from which its number can be recovered (EMV B2 table 14).
    """
    from shanfu.emv import describe

    return describe(tag) is None or tag == CERTIFICATE


def hide(raw: bytes, *, response: bool) -> tuple[bytes, Any]:
    """Mask one message of a card that may be real: as the terminal's events are, and what may hide a number too."""
    from shanfu.iso7816 import parse
    from shanfu.pan import overwrite
    from shanfu.terminal import mask_apdu

    shown, ranges = mask_apdu(raw, response=response)
    if not response:
        return shown, ranges
    try:
        nodes = [node for node in parse(raw[:-2]).walk() if node.children is None and may_hide_a_number(node.tag)]
    except DecodeError:  # overwritten altogether
        return shown, ranges
    spans = [(node.value_offset, node.value_offset + len(node.value)) for node in nodes]
    return overwrite(shown, (*ranges, *spans))


def _check_writable(path: Path) -> None:
    """Find out before a payment, not after it, that the file cannot be written."""
    try:
        path.write_text("")
    except OSError as fault:
        raise ConfigError(f"--record {path}: {fault.strerror}") from fault


class StrangersCard(ConfigError):
    """A card that the sandbox has not issued was to be charged."""


class TestCardsOnly:
    """A card that may be charged: as soon as it shows a number that is not of the sandbox's BINs it is put back."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, card: Any, bins: list[str]) -> None:
        self._card, self._bins = card, tuple(bins)

    def power_on(self, interface: Any) -> bytes:
        """Give power."""
        answer: bytes = self._card.power_on(interface)
        return answer

    def power_off(self) -> None:
        """Take power away."""
        self._card.power_off()

    def answer(self, command: bytes) -> bytes:
        """Return the answer; StrangersCard instead of one that shows a stranger's number."""
        from shanfu.links import card_numbers

        answer: bytes = self._card.answer(command)
        if not all(number.startswith(self._bins) for number in card_numbers(answer)):
            self._card.power_off()
            raise StrangersCard("card: its number is none of the sandbox's: not taken; `shanfu card read` shows such a card")
        return answer
