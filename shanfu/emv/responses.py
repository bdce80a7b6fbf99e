"""What a card answers to GET PROCESSING OPTIONS and GENERATE AC, in template 80 (bare values) or 77 (BER-TLV).

Called by kernels and the contact flow. Sources: EMV Book 3 6.5.5.4 and 6.5.8.4, JR/T 0025.12.
"""

from shanfu.errors import DecodeError, Fault
from shanfu.iso7816 import TLV, TLVList, parse, parse_flat

__all__ = ["parse_cryptogram_response", "parse_gpo_response", "parse_record"]


def parse_gpo_response(data: bytes) -> dict[int, bytes]:
    """Read the answer to GPO into tag → value: AIP and AFL from template 80, whatever is there from 77 (EMV B3 6.5.8.4).

    >>> sorted(map(hex, parse_gpo_response(bytes.fromhex("800A7C000801010010010301"))))
    ['0x82', '0x94']
    """
    node = _one(data, "EMV B3 6.5.8.4")
    if node.tag == 0x77:
        return parse_flat(node.value)
    if len(node.value) < 6 or len(node.value) % 4 != 2:
        what = f"{len(node.value)} bytes, must be an AIP of 2 and an AFL"
        raise DecodeError(what, fault=Fault.LENGTH, path="80", offset=node.value_offset, spec="EMV B3 6.5.8.4")
    return {0x82: node.value[:2], 0x94: node.value[2:]}


def parse_cryptogram_response(data: bytes) -> dict[int, bytes]:
    """Read the answer to GENERATE AC into tag → value: 9F27 9F36 9F26 9F10 from template 80 (EMV B3 6.5.5.4).

    >>> answer = bytes.fromhex("801E8000019576389A2C9E753407000103A03002010A010000000000B0992D81")
    >>> parse_cryptogram_response(answer)[0x9F26].hex()
    '9576389a2c9e7534'
    """
    node = _one(data, "EMV B3 6.5.5.4")
    if node.tag == 0x77:
        return parse_flat(node.value)
    value = node.value
    if not 11 <= len(value) <= 43:
        what = f"{len(value)} bytes, must be 11 to 43"
        raise DecodeError(what, fault=Fault.LENGTH, path="80", offset=node.value_offset, spec="EMV B3 6.5.5.4")
    found = {0x9F27: value[:1], 0x9F36: value[1:3], 0x9F26: value[3:11]}
    return found | ({0x9F10: value[11:]} if len(value) > 11 else {})


def parse_record(data: bytes) -> TLVList:
    """Read a record of a payment file, which is one template 70; return what it holds (EMV B3 6.5.11.4)."""
    objects = parse(data)
    inside = objects.require(0x70, spec="EMV B3 6.5.11.4").children
    if len(objects) != 1 or inside is None:
        raise DecodeError("more than one template", fault=Fault.TRAILING, path="70", spec="EMV B3 6.5.11.4")
    return inside


def _one(data: bytes, spec: str) -> TLV:
    objects = parse(data)
    if len(objects) != 1 or objects[0].tag not in {0x77, 0x80}:
        raise DecodeError("must be one template 77 or 80", fault=Fault.FORMAT, spec=spec)
    return objects[0]
