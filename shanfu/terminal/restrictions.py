"""Processing restrictions: whether this application may do this, here, today.

Nothing is refused here: what does not fit becomes a bit of the TVR, and the action codes decide. Who calls: `contact.py`, and
`offline.py` for the date. Sources: EMV B3 10.4, EMV B4 6.7.3 (two-digit years).
"""

from shanfu.emv import AUC, TVR
from shanfu.terminal.chip import Chip

__all__ = ["four_digit_year", "restrict"]

CENTURY_TURN = 50  # EMV B4 6.7.3: years 00 to 49 are 2000 to 2049
ATM_TYPES = frozenset({b"\x14", b"\x15", b"\x16"})  # EMV B4 A1, with cash among the additional capabilities


def restrict(chip: Chip) -> None:
    """Set the bits of TVR byte 2: version, usage control, dates (EMV B3 10.4)."""
    card, values = chip.card, chip.values
    # EMV B3 10.4.1: a card without a version is taken to agree
    if card.get(0x9F08) and card[0x9F08] != values[0x9F09]:
        chip.tvr |= TVR.VERSIONS_DIFFER
    if card.get(0x9F07) and not _allowed(chip):
        chip.tvr |= TVR.SERVICE_NOT_ALLOWED
    today = four_digit_year(values[0x9A])
    if card.get(0x5F25) and four_digit_year(card[0x5F25]) > today:
        chip.tvr |= TVR.NOT_YET_EFFECTIVE
    if four_digit_year(card[0x5F24]) < today:
        chip.tvr |= TVR.EXPIRED


def _allowed(chip: Chip) -> bool:
    """Purchases: the kind of terminal, and with an issuer country the kind of purchase (EMV B3 10.4.2, table 36)."""
    usage, config = AUC.parse(chip.card[0x9F07]), chip.desk.config
    if (AUC.ATM if config.terminal_type in ATM_TYPES else AUC.NOT_ATM) not in usage:
        return False
    country = chip.card.get(0x5F28)
    if not country:
        return True
    if country == chip.values[0x9F1A]:
        return bool(usage & (AUC.DOMESTIC_GOODS | AUC.DOMESTIC_SERVICES))
    return bool(usage & (AUC.INTERNATIONAL_GOODS | AUC.INTERNATIONAL_SERVICES))


def four_digit_year(raw: bytes) -> str:
    """Return YYMMDD (BCD, or its digits as they are) as YYYYMMDD, fit to be compared.

    >>> four_digit_year(bytes.fromhex("491231")), four_digit_year(bytes.fromhex("500101"))
    ('20491231', '19500101')
    """
    digits = raw.hex()
    return f"{'20' if digits[:2] < str(CENTURY_TURN) else '19'}{digits}"
