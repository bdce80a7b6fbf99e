"""One inserted card in one process: the whole PBOC flow with CDA and PIN, and what its signatures cost.

What is timed is the sale from the directory to the receipt: records, certificates recovered, two cryptograms of which each is
signed by the card and verified by the terminal, the PIN, the acquirer's MACs; card and terminal over memories, the acquirer of
the terminal's tests in the same process. The authority's key has 1,984 bits, the issuer's 1,976 and the card's 1,640: more of
either does not fit into a record or a short answer (EMV B2 D1). The SM2 side is the same sale with an SM2 chain.
"""

import time
from dataclasses import replace
from datetime import date
from functools import cache
from statistics import median
from typing import Any

import gmalg

from benchmarks.measure import SECONDS, Row, repeated, time_us
from shanfu.card import Card, CardKeys, debit_2_0, personalise, static_data
from shanfu.crypto import CardAlgorithm, RSAPrivateKey, SM2PrivateKey
from shanfu.emv import UNIONPAY_RID
from shanfu.events import nobody
from shanfu.oda import CAKey, PrivateKey, chain_records, icc_key_groupings, make_icc_certificate, make_issuer_certificate
from shanfu.pan import PAN
from shanfu.store import DictMemory
from shanfu.terminal import Outcome
from tests.terminal.chips import issues
from tests.terminal.shop import IMK, PAN_DIGITS, Shop, config

AMOUNT = "1234.00"
GOAL_MS = 8.0
LEAST_SALES, MOST_SALES = 10, 300
UNTIL = date(2030, 12, 31)
CA_BITS, ISSUER_BITS, CARD_BITS = 1984, 1976, 1640
MESSAGE = bytes(range(64))


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure the insert with RSA and with SM2, then SM2 itself against a library in plain Python."""
    rsa, sm2 = _shop(sm2=False), _shop(sm2=True)
    times: tuple[list[float], list[float]] = ([], [])
    for shop in (rsa, sm2):
        _sell(shop)
    ends = time.perf_counter() + seconds
    while len(times[0]) < LEAST_SALES or (time.perf_counter() < ends and len(times[0]) < MOST_SALES):
        for shop, taken in zip((rsa, sm2), times, strict=True):
            began = time.perf_counter()
            _sell(shop)
            taken.append((time.perf_counter() - began) * 1e3)
    note = f"RSA: CA {CA_BITS}, issuer {ISSUER_BITS}, card {CARD_BITS} bits; other is the same sale with an SM2 chain"
    name = "insert with PIN and CDA, card + terminal, p50"
    ours, other = map(median, times)
    sale = Row(name=name, ours=ours, other=other, unit="ms", rule="ours at most", goal=GOAL_MS, note=note)
    return [sale.public(), *(row.public() for row in _sm2(seconds))]


def _sell(shop: Shop) -> None:
    shop.host.plays("0200", issues())
    receipt = shop.insert(AMOUNT)
    assert receipt.outcome is Outcome.APPROVED, receipt
    assert receipt.cryptogram_kind == "TC", receipt


@cache
def _keys(sm2: bool) -> tuple[PrivateKey, PrivateKey, PrivateKey]:
    """Authority, issuer and card."""
    if sm2:
        return SM2PrivateKey.generate(), SM2PrivateKey.generate(), SM2PrivateKey.generate()
    return RSAPrivateKey.generate(CA_BITS), RSAPrivateKey.generate(ISSUER_BITS), RSAPrivateKey.generate(CARD_BITS)


def _shop(*, sm2: bool) -> Shop:
    ca, issuer, icc = _keys(sm2)
    profile = debit_2_0(PAN(PAN_DIGITS))
    authority = CAKey(rid=UNIONPAY_RID, index=0xF1, key=ca.public, expires=UNTIL)
    tags = make_issuer_certificate(
        issuer.public, authority, issuer_id=PAN_DIGITS[:6], expires=UNTIL, serial=bytes(3), sign=ca.sign
    ) | make_icc_certificate(
        icc.public,
        issuer.public,
        pan=profile.pan,
        expires=UNTIL,
        serial=bytes(3),
        static=static_data(profile),
        sign=issuer.sign,
    )
    tags |= {0x9F49: bytes.fromhex("9F3704"), 0x9F4A: b"\x82"}
    chip, made = DictMemory(), replace(profile, oda=chain_records(tags) | icc_key_groupings(icc))
    personalise(made, CardKeys.derive(IMK, CardAlgorithm.TDES, pan=made.pan, psn=made.psn), chip)
    return Shop(settings=config(ca_keys=(authority,)), card=Card(chip), heard=nobody)  # type: ignore[arg-type]  # nobody watches


def _sm2(seconds: float) -> list[Row]:
    """Sign and verify, ours on libcrypto and gmalg's in plain Python."""
    mine = SM2PrivateKey.generate()
    theirs = gmalg.SM2(mine.secret, b"1234567812345678", b"\x04" + mine.public.point)
    signature, (r, s) = mine.sign(MESSAGE), theirs.sign(MESSAGE)
    mine.public.verify(MESSAGE, r + s)
    assert theirs.verify(MESSAGE, signature[:32], signature[32:])
    sides = (
        ("SM2 sign / gmalg", lambda: mine.sign(MESSAGE), lambda: theirs.sign(MESSAGE)),
        (
            "SM2 verify / gmalg",
            lambda: mine.public.verify(MESSAGE, signature),
            lambda: theirs.verify(MESSAGE, signature[:32], signature[32:]),
        ),
    )
    found = []
    for name, ours, other in sides:
        took = time_us(repeated(ours, 1), repeated(other, 1), seconds)
        found.append(Row(name=name, ours=took[0], other=took[1], unit="µs"))
    return found
