"""Making a card: the profile's image, the card's keys and the first values of its counters go into the chip's memory.

All of it is one write, so a chip is either blank or whole. An application that is there already is never overwritten: its
counter would start again under the same keys. What would make a card that cannot pay is refused here, not at the till.

Called by the sandbox and whoever issues cards. Sources: EMV CPS 1.1, JR/T 0025.10, JR/T 0025.12 (what the PDOL must ask for).
"""

from collections.abc import Mapping
from typing import Final

from shanfu.card.build import build_image
from shanfu.card.image import CHECK_VALUES, KEYS, QPBOC_PDOL, CardImage, Interface
from shanfu.card.keys import CardKeys
from shanfu.card.live import FORMAT, LIVE_TAGS, aids_in, image_in, names_of
from shanfu.card.profile import CardProfile
from shanfu.crypto import RSAPrivateKey
from shanfu.dialogue import Memory
from shanfu.emv import AIP, CRYPTOGRAM_FIELDS, IssuerApplicationData, parse_dol
from shanfu.errors import ConfigError, Conflict, DecodeError

__all__ = ["check_image", "personalise", "read_image"]

CDOL_NEEDS: Final = set(parse_dol(bytes.fromhex("9F02069F03069F1A0295055F2A029A039C019F3704")).entries)  # JR/T 0025.5, CVN 01
CDA_KEY_BYTES: Final = 205  # EMV B2 D2: answer with IAD and signature stays within 256 bytes


def personalise(profile: CardProfile, keys: CardKeys, memory: Memory) -> None:
    """Load an application into a chip's memory, durably and at once.

    `keys` are of the profile's algorithm. `Conflict` if the memory holds this application already, `ConfigError` if the
    profile makes no working card.
    """
    try:
        groupings = build_image(profile)
    except (DecodeError, OverflowError, ValueError) as error:  # a PIN, a limit or a number that its object cannot hold
        raise ConfigError(f"card profile: {error}") from error
    groupings[KEYS[profile.algorithm]] = bytes(keys)
    groupings[CHECK_VALUES[profile.algorithm]] = keys.check_values(profile.algorithm)
    try:
        image = CardImage.read(groupings)
    except DecodeError as error:
        raise ConfigError(f"card profile: {error}") from error
    check_image(image)
    if image.aid in aids_in(memory):
        raise Conflict(f"application {image.aid.hex().upper()}: is in this card already")
    start = names_of(image.aid)
    records: dict[str, bytes | None] = {f"{start}dgi/{dgi:04X}": data for dgi, data in groupings.items()}
    records |= {f"{start}live/{tag:04X}": value for tag, value in _first_values(image).items()}
    records[f"{start}format"] = FORMAT
    if profile.blocked:
        records[f"{start}blocked"] = b"\x01"
    memory.write(records)


def read_image(memory: Memory, aid: bytes) -> dict[int, bytes]:
    """Return the data groupings of an application as they were loaded, its keys among them; `NotFound` if there is none.

    For those who make and check cards; no command leads here.
    """
    return image_in(memory, aid)


def _first_values(image: CardImage) -> Mapping[int, bytes]:
    first = {tag: image.data[tag] for tag in LIVE_TAGS if tag in image.data}
    tries_left, _ = image.pin_tries
    counters = {tag: first.get(tag, b"").rjust(2, b"\0") for tag in (0x9F36, 0x9F13)}  # published images shorten them
    return first | counters | {0x9F17: bytes((tries_left,))}


def check_image(image: CardImage) -> None:
    """Refuse what the application could not answer from; `ConfigError` names it."""
    if not image.track2:
        raise ConfigError("card profile: no record holds track 2 (57), which GPO must return (JR/T 0025.12)")
    if Interface.CONTACTLESS in image.fci:
        _check_iad(image.gpo[Interface.CONTACTLESS].iad, image)
        missing = set(parse_dol(QPBOC_PDOL).entries) - set(image.pdol[Interface.CONTACTLESS].entries)
        if missing:
            raise ConfigError(
                f"card profile: the PDOL does not ask for {_tags(missing)}, which the cryptogram covers (JR/T 0025.12)"
            )
    if Interface.CONTACT in image.fci:
        _check_contact(image)


def _check_contact(image: CardImage) -> None:
    _check_iad(image.iad, image)
    asked = set(image.cdol[0].entries)
    missing = CDOL_NEEDS - asked
    if missing:
        raise ConfigError(f"card profile: CDOL 1 does not ask for {_tags(missing)}, which the cryptogram covers (JR/T 0025.5)")
    if (0x8A, 2) not in image.cdol[1].entries:
        raise ConfigError("card profile: CDOL 2 does not ask for 8A, the issuer's decision (JR/T 0025.5)")
    cda = AIP.CDA.is_in(image.gpo[Interface.CONTACT].aip)
    if cda and image.icc is None:
        raise ConfigError("card profile: 82 promises CDA, and there is no key for it (EMV B3 C1)")
    if cda and isinstance(image.icc, RSAPrivateKey) and image.icc.public.size > CDA_KEY_BYTES:
        raise ConfigError(f"card profile: CDA takes keys of at most {CDA_KEY_BYTES} bytes (EMV B2 D2)")


def _check_iad(iad: IssuerApplicationData | None, image: CardImage) -> None:
    if iad is None or iad.cvn not in CRYPTOGRAM_FIELDS or iad.algorithm != image.algorithm:
        versions = ", ".join(f"{cvn:02X}" for cvn in CRYPTOGRAM_FIELDS)
        raise ConfigError(f"card profile: 9F10 must name cryptogram {versions} and the keys' algorithm (JR/T 0025.5)")


def _tags(entries: set[tuple[int, int]]) -> str:
    return ", ".join(f"{tag:X}" for tag, _ in sorted(entries))
