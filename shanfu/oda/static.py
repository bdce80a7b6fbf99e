"""SDA: the issuer's signature over the card's static data, which any copy of the card can show as well.

Called by terminals. Sources: EMV Book 2 5.4, tables 7 and 8; EMV Book 3 10.3.
"""

from datetime import date

from shanfu.oda.blocks import Form, body, open_signed
from shanfu.oda.ca_keys import CAKeys
from shanfu.oda.card_data import CardData, static_data
from shanfu.oda.certificates import recover_issuer
from shanfu.oda.results import Authentication, Failure, Method, Part, Reason

__all__ = ["authenticate_static"]

DATA_AUTHENTICATION_CODE_BYTES = 2  # EMV B2 table 7


def authenticate_static(card: CardData, keys: CAKeys, *, today: date) -> Authentication:
    """Verify tag 93 under the issuer's key over the static data (EMV B2 5.4); proves 9F45. Never raises on card data."""
    found = _data_authentication_code(card, keys, today)
    if isinstance(found, Failure):
        return Authentication(method=Method.SDA, failure=found)
    return Authentication(method=Method.SDA, proved={0x9F45: found})


def _data_authentication_code(card: CardData, keys: CAKeys, today: date) -> bytes | Failure:
    issuer = recover_issuer(card, keys, today=today)
    if isinstance(issuer, Failure):
        return issuer
    if 0x93 not in card.values:
        return Failure(Part.STATIC_SIGNATURE, Reason.MISSING)
    outside = static_data(card)
    if isinstance(outside, Failure):
        return outside
    content = open_signed(issuer.key, card.values[0x93], form=Form.STATIC, outside=outside)
    if isinstance(content, Failure):
        return content
    return body(issuer.key, content)[:DATA_AUTHENTICATION_CODE_BYTES]
