"""Vector kinds of the card: a published personalisation image goes into a chip and comes out again, byte by byte."""

import functools
import json
import os
from pathlib import Path

from shanfu.card import (
    LABORATORY_IMAGE,
    Card,
    CardKeys,
    Interface,
    PBOCVersion,
    Product,
    from_dgis,
    personalise,
    read_image,
)
from shanfu.emv import commands
from shanfu.iso7816 import CommandAPDU, ResponseAPDU
from shanfu.store import DictMemory
from tests.vector_kinds.registry import Values, kind

FOLDER = Path(os.environ.get("SHANFU_VECTORS") or Path(__file__).parent.parent / "vectors")


@functools.cache
def chip() -> tuple[DictMemory, bytes]:
    """One card with every grouping of the file; its UDKs are checked against their check values on the way."""
    cases = json.loads((FOLDER / "emv_perso_testcard.json").read_text())["cases"]
    image = dict(LABORATORY_IMAGE) | {int(case["dgi"], 16): bytes.fromhex(case["data"]) for case in cases}
    profile = from_dgis(image, product=Product.CREDIT, version=PBOCVersion.V3)
    memory = DictMemory()
    personalise(profile, CardKeys.parse(image[0x8000]), memory)
    return memory, profile.aid


def over_the_wire(dgi: int, interface: Interface) -> bytes | None:
    """What a terminal is shown of a grouping, if anything."""
    memory, aid = chip()
    card = Card(memory)
    assert card.power_on(interface)

    def ask(command: CommandAPDU) -> bytes:
        answer = ResponseAPDU.parse(card.answer(bytes(command)))
        assert answer.ok, answer
        return answer.data

    fci = ask(commands.select(aid))
    if dgi == {Interface.CONTACT: 0x9102, Interface.CONTACTLESS: 0x9103}[interface]:
        return fci
    return ask(commands.read_record(dgi >> 8, dgi & 0xFF)) if dgi < 0x0B00 else None


@kind("perso_dgi", "dgi meaning data")
def perso_dgi(inputs: Values) -> Values:
    dgi, data = int(inputs["dgi"], 16), bytes.fromhex(inputs["data"])
    memory, aid = chip()
    assert read_image(memory, aid)[dgi] == data
    for interface in Interface:
        shown = over_the_wire(dgi, interface)
        assert shown is None or shown == data
    return {}
