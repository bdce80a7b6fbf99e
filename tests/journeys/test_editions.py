"""Cards and terminals of PBOC 2.0 and 3.0 in all four pairings, waved and inserted: who pays, and what the issuer is told.

The older terminal has no SM algorithms: it cannot tell a card that has no others from a forged one. A wave that goes online
needs no proof; of an insert the issuer hears, and refuses by its policy (`refuse_tvr`).
"""

import pytest

from shanfu.emv import TVR, decode_field55
from shanfu.iso8583 import Message, decode_pos
from shanfu.sandbox import card_named
from tests.journeys.judge import judge
from tests.journeys.test_outcomes import moves
from tests.journeys.town import Town
from tests.journeys.wires import mti_of

CURRENT, OLD = "teahouse", "bookshop"
VERSIONS, UNPROVED = TVR.VERSIONS_DIFFER, TVR.CDA_FAILED
LOOKED_AT = VERSIONS | UNPROVED | TVR.ODA_NOT_PERFORMED | TVR.DDA_FAILED | TVR.SDA_FAILED

# fmt: off
#  card         its edition and ciphers  terminal   9F09    insert: TVR            DE39  account
PAIRINGS = [
  ("debit",      "2.0, 3DES and RSA",      CURRENT,   "0030", VERSIONS,              "00", "lin-yue/156"),
  ("debit",      "2.0, 3DES and RSA",      OLD,       "0020", 0,                     "00", "lin-yue/156"),
  ("debit-sm4",  "3.0, SM4 and SM2",       CURRENT,   "0030", 0,                     "00", "lin-yue/156"),
  ("debit-sm4",  "3.0, SM4 and SM2",       OLD,       "0020", VERSIONS | UNPROVED,   "05", "lin-yue/156"),
  ("credit",     "2.0, 3DES and RSA",      CURRENT,   "0030", VERSIONS,              "00", "chen-bo/156"),
  ("credit",     "2.0, 3DES and RSA",      OLD,       "0020", 0,                     "00", "chen-bo/156"),
  ("credit-sm4", "3.0, SM4 and SM2",       CURRENT,   "0030", 0,                     "00", "chen-bo/156"),
  ("credit-sm4", "3.0, SM4 and SM2",       OLD,       "0020", VERSIONS | UNPROVED,   "05", "chen-bo/156"),
]
# fmt: on


@pytest.mark.parametrize("pays", ["tap", "insert"])
@pytest.mark.parametrize(("card", "edition", "merchant", "version", "bits", "code", "account"), PAIRINGS)
def test_a_pairing(town: Town, *, card, edition, merchant, version, bits, code, account, pays) -> None:
    opening = town.available()
    receipt = getattr(town, pays)(card, merchant, amount="12.34")
    bits, code = (bits, code) if pays == "insert" else (0, "00")  # in qPBOC the TVR is all zero
    assert (receipt.response_code, receipt.approved) == (code, code == "00")
    tags = decode_field55(asked(town).binary(55))
    assert card_named(card).profile.endswith(edition[:3])
    assert tags[0x9F10][7] == {"3DES": 1, "SM4": 4}[edition.split()[1]]
    assert tags[0x9F09].hex() == version
    assert TVR.parse(tags[0x95]) & LOOKED_AT == bits
    town.drain()
    assert moves(town, opening) == ({account: -1_234} if code == "00" else {})
    judge(town, opening=opening)


def asked(town: Town) -> Message:
    """The one payment that a terminal has asked about."""
    [message] = [decode_pos(p.frame).message for p in town.frames if p.source == "terminal" and mti_of(p) == "0200"]
    return message
