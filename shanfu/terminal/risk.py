"""Terminal risk management: exception file, floor limit, random selection, velocity.

It guards the acquirer against large, lucky and endless offline payments: what it finds is a bit of the TVR, and the action
codes decide. Who calls: `contact.py`; the exception file also `offline.py`. Source: EMV B3 10.6.
"""

from shanfu.dialogue import Dialogue
from shanfu.emv import AIP, TSI, TVR, commands
from shanfu.errors import DecodeError
from shanfu.iso7816 import parse_flat
from shanfu.terminal.chip import Chip
from shanfu.terminal.desk import Desk

__all__ = ["manage_risk", "on_exception_file"]

ATC, LAST_ONLINE_ATC = 0x9F36, 0x9F13
VELOCITY = (0x9F14, 0x9F23)  # lower and upper consecutive offline limit


def manage_risk(chip: Chip, *, force_online: bool = False) -> Dialogue[None]:
    """Set the bits of TVR bytes 1, 2 and 4 (EMV B3 10.6); the AIP says whether the card wants it done."""
    if AIP.TERMINAL_RISK not in AIP.parse(chip.card[0x82]):
        return
    if on_exception_file(chip.desk, chip.pan):
        chip.tvr |= TVR.ON_EXCEPTION_FILE
    if force_online:
        chip.tvr |= TVR.MERCHANT_FORCED_ONLINE
    floor = chip.application.limits.floor or 0
    # EMV B3 10.6.1: with the card's last payment, so that a split sale is one sale
    if chip.amount.minor + chip.desk.journal.last_approved_minor(chip.pan) >= floor:
        chip.tvr |= TVR.FLOOR_LIMIT_EXCEEDED
    elif _selected(chip, floor):
        chip.tvr |= TVR.RANDOMLY_ONLINE
    yield from _velocity(chip)
    chip.tsi |= TSI.TERMINAL_RISK_PERFORMED


def on_exception_file(desk: Desk, pan: str) -> bool:
    """Whether the terminal has been told not to trust this card (EMV B3 10.6)."""
    return pan in desk.config.exception_file


def _selected(chip: Chip, floor: int) -> bool:
    """Random selection: a target percentage below the threshold, rising to the maximum at the floor (EMV B3 10.6.2)."""
    limits, amount = chip.application.limits, chip.amount.minor
    percent = limits.random_target_percent
    if amount >= limits.random_threshold:
        span = max(floor - limits.random_threshold, 1)
        rise = max(limits.random_max_percent - limits.random_target_percent, 0)
        percent += rise * (amount - limits.random_threshold) // span
    drawn = int.from_bytes(chip.desk.random(4)) % 99 + 1  # 1 to 99
    return drawn <= percent


def _velocity(chip: Chip) -> Dialogue[None]:
    """Compare how often the card has paid since it was last online with its own limits (EMV B3 10.6.3)."""
    lower, upper = (chip.card.get(tag) for tag in VELOCITY)
    if not lower or not upper:
        return
    atc = yield from _counter(chip, ATC)
    last = yield from _counter(chip, LAST_ONLINE_ATC)
    if atc is None or last is None or atc <= last:
        chip.tvr |= TVR.LOWER_CONSECUTIVE_EXCEEDED | TVR.UPPER_CONSECUTIVE_EXCEEDED
    else:
        if atc - last > lower[0]:
            chip.tvr |= TVR.LOWER_CONSECUTIVE_EXCEEDED
        if atc - last > upper[0]:
            chip.tvr |= TVR.UPPER_CONSECUTIVE_EXCEEDED
    if last == 0:
        chip.tvr |= TVR.NEW_CARD


def _counter(chip: Chip, tag: int) -> Dialogue[int | None]:
    answer = yield from chip.ask("GET DATA of a counter", commands.get_data(tag))
    if not answer.ok:
        return None
    try:
        value = parse_flat(answer.data).get(tag)
    except DecodeError:
        return None
    return int.from_bytes(value) if value else None
