"""The commands that a payment terminal or an issuer's script gives to a card, one builder each.

Each returns a `CommandAPDU`; secure messaging is given ready-made as `mac`, since the keys are the issuer's.

Called by terminals, contact readers, issuers' scripts and tests. Sources: EMV Book 1 11, EMV Book 3 6.5, JR/T 0025.5.
"""

from typing import Final

from shanfu.emv.aid import PPSE, PSE
from shanfu.emv.cid import CryptogramType
from shanfu.iso7816 import CommandAPDU, tlv

__all__ = [
    "application_block", "application_unblock", "card_block", "change_pin", "external_authenticate", "generate_ac",
    "get_challenge", "get_data", "get_processing_options", "get_response", "internal_authenticate", "put_data", "read_record",
    "select", "select_ppse", "select_pse", "unblock_pin", "update_record", "verify_pin",
]  # fmt: skip

ANY_LENGTH: Final = 256  # Le 00: as much as there is


def select(aid: bytes, *, next_occurrence: bool = False) -> CommandAPDU:
    """SELECT by name, the first or the next application that begins with `aid` (EMV B1 11.3).

    >>> bytes(select(bytes.fromhex("A000000333010101"))).hex()
    '00a4040008a00000033301010100'
    """
    return CommandAPDU(cla=0x00, ins=0xA4, p1=0x04, p2=0x02 if next_occurrence else 0x00, data=aid, le=ANY_LENGTH)


def select_ppse() -> CommandAPDU:
    """SELECT the contactless directory 2PAY.SYS.DDF01 (EMV CL B 3.3.2)."""
    return select(PPSE)


def select_pse() -> CommandAPDU:
    """SELECT the contact directory 1PAY.SYS.DDF01 (EMV B1 12.3.2)."""
    return select(PSE)


def get_processing_options(pdol_data: bytes = b"") -> CommandAPDU:
    """GET PROCESSING OPTIONS with the filled PDOL, or 8300 if the card has none (EMV B3 6.5.8).

    >>> bytes(get_processing_options(bytes.fromhex("01000000010000015600"))).hex()
    '80a800000c830a0100000001000001560000'
    """
    return CommandAPDU(cla=0x80, ins=0xA8, data=bytes(tlv(0x83, pdol_data)), le=ANY_LENGTH)


def read_record(sfi: int, record: int) -> CommandAPDU:
    """READ RECORD by number (EMV B3 6.5.11).

    >>> bytes(read_record(10, 1)).hex()
    '00b2015400'
    """
    return CommandAPDU(cla=0x00, ins=0xB2, p1=record, p2=sfi << 3 | 4, le=ANY_LENGTH)


def get_data(tag: int) -> CommandAPDU:
    """GET DATA of a one- or two-byte tag (EMV B3 6.5.7).

    >>> bytes(get_data(0x9F79)).hex()
    '80ca9f7900'
    """
    return CommandAPDU(cla=0x80, ins=0xCA, p1=tag >> 8, p2=tag & 0xFF, le=ANY_LENGTH)


def generate_ac(kind: CryptogramType, dol_data: bytes, *, cda: bool = False) -> CommandAPDU:
    """GENERATE AC, asking for a cryptogram of this kind over the filled CDOL (EMV B3 6.5.5)."""
    return CommandAPDU(cla=0x80, ins=0xAE, p1=kind | (0x10 if cda else 0), data=dol_data, le=ANY_LENGTH)


def internal_authenticate(ddol_data: bytes) -> CommandAPDU:
    """INTERNAL AUTHENTICATE over the filled DDOL (EMV B3 6.5.9)."""
    return CommandAPDU(cla=0x00, ins=0x88, data=ddol_data, le=ANY_LENGTH)


def external_authenticate(issuer_authentication_data: bytes) -> CommandAPDU:
    """EXTERNAL AUTHENTICATE with the value of tag 91, ARPC and response code (EMV B3 6.5.4).

    >>> bytes(external_authenticate(bytes.fromhex("21415243527CE78F3031"))).hex()
    '008200000a21415243527ce78f3031'
    """
    return CommandAPDU(cla=0x00, ins=0x82, data=issuer_authentication_data)


def get_challenge() -> CommandAPDU:
    """GET CHALLENGE: eight random bytes (EMV B3 6.5.6)."""
    return CommandAPDU(cla=0x00, ins=0x84, le=ANY_LENGTH)


def verify_pin(block: bytes, *, enciphered: bool = False) -> CommandAPDU:
    """VERIFY with a PIN block, plain `2L PIN F…` or enciphered under the card's key (EMV B3 6.5.12)."""
    return CommandAPDU(cla=0x00, ins=0x20, p2=0x88 if enciphered else 0x80, data=block)


def get_response(length: int) -> CommandAPDU:
    """GET RESPONSE after 61xx, T=0 only (EMV B1 9.3.1.3)."""
    return CommandAPDU(cla=0x00, ins=0xC0, le=length)


def put_data(tag: int, value: bytes, mac: bytes) -> CommandAPDU:
    """PUT DATA under a MAC, for instance to load the e-cash balance (JR/T 0025.5)."""
    return CommandAPDU(cla=0x04, ins=0xDA, p1=tag >> 8, p2=tag & 0xFF, data=value + mac)


def update_record(sfi: int, record: int, body: bytes, mac: bytes) -> CommandAPDU:
    """UPDATE RECORD under a MAC (JR/T 0025.5)."""
    return CommandAPDU(cla=0x04, ins=0xDC, p1=record, p2=sfi << 3 | 4, data=body + mac)


def application_block(mac: bytes) -> CommandAPDU:
    """APPLICATION BLOCK (EMV B3 6.5.1)."""
    return CommandAPDU(cla=0x84, ins=0x1E, data=mac)


def application_unblock(mac: bytes) -> CommandAPDU:
    """APPLICATION UNBLOCK (EMV B3 6.5.2)."""
    return CommandAPDU(cla=0x84, ins=0x18, data=mac)


def card_block(mac: bytes) -> CommandAPDU:
    """CARD BLOCK (EMV B3 6.5.3)."""
    return CommandAPDU(cla=0x84, ins=0x16, data=mac)


def unblock_pin(mac: bytes) -> CommandAPDU:
    """PIN CHANGE/UNBLOCK with P2 00: the try counter is reset (EMV B3 6.5.10)."""
    return CommandAPDU(cla=0x84, ins=0x24, data=mac)


def change_pin(enciphered: bytes, mac: bytes, *, p2: int = 0x02) -> CommandAPDU:
    """PIN CHANGE/UNBLOCK with a new PIN; P2 01 uses the old PIN, 02 does not (EMV B3 6.5.10, JR/T 0025.5)."""
    return CommandAPDU(cla=0x84, ins=0x24, p2=p2, data=enciphered + mac)
