"""What hosts ask of their HSM, against pyemv and psec, which take keys in clear; and what phones cost, against cards and calls.

Ours goes the whole way through `SoftHSM`: key blocks under the LMK, usage checked, proofs kept, comparison in constant time.
pyemv has no PBOC session key; its common session key is two 3DES blocks likewise. psec has no PIN translation as one call;
its own deciphering, decoding, encoding and enciphering stand for it. What is done for phones has no peer: a key set in one call
stands against a call for each key, a phone's cryptogram against a card's.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from benchmarks.measure import SECONDS, Row, Rule, Work, repeated, time_us
from shanfu.crypto import (
    PIN,
    CardAlgorithm,
    Cipher,
    P256Key,
    PinFormat,
    SessionKey,
    derive_key,
    encipher_pin,
    odd_parity,
    session_key_pboc,
    udk_option_a,
)
from shanfu.crypto import Algorithm as Block
from shanfu.hsm import (
    LMK,
    Algorithm,
    ARQCCheck,
    KeyBlock,
    KeyScheme,
    KeySetJob,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINTranslation,
    SoftHSM,
)
from shanfu.tokens import key_index_bytes

Plain = Callable[[], object]

BATCH = 64
USES = 10
INDEX = "5000100"
NUMBER = "6209010000000018"
KEY = odd_parity(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
OTHER_KEY = odd_parity(bytes.fromhex("11223344556677880123456789ABCDEF"))
DATA = bytes.fromhex("0000000012340000000000000156000000000001562606010012345678007C000240")  # 9F02 … 9F36, then the CVR
DATA += bytes.fromhex("03A00000")
MAB = bytes(range(256))[:200]
MISSING = "{} is not installed"


def rows(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Measure cryptograms in both sizes of batch, then PINs and MACs, then what phones ask."""
    hsm = SoftHSM(LMK.generate())
    found = [*_cryptograms(hsm, seconds), _translation(hsm, seconds), *_macs(hsm, seconds), *_phones(hsm, seconds)]
    return [row.public() for row in found]


def _key(hsm: SoftHSM, usage: KeyUsage, key: bytes) -> KeyBlock:
    return hsm.form(usage, Algorithm.TDES, [key, bytes(len(key))])


# -- cryptograms -------------------------------------------------------------------------------------------------------


def _cryptograms(hsm: SoftHSM, seconds: float) -> list[Row]:
    one, many = _checks(hsm, 1), _checks(hsm, BATCH)
    theirs: Work | None = None
    try:
        theirs, note = repeated(_pyemv(), times=2), ""
    except ImportError:
        note = MISSING.format("pyemv")
    what = "ARQC verify and ARPC"
    return [
        _row(f"{what}, one at a time / pyemv", _judge(hsm, one), theirs, seconds, note=note),
        _row(f"{what}, {BATCH} at a time / pyemv", _judge(hsm, many), theirs, seconds, goal=1 / 5, note=note),
    ]


def _checks(hsm: SoftHSM, count: int, *, scheme: KeyScheme | None = None) -> list[ARQCCheck]:
    """Return cryptograms of as many cards, or with a scheme of as many phones."""
    imk, index = _key(hsm, KeyUsage.IMK_AC, KEY), key_index_bytes(INDEX)
    checks = []
    for number in range(count):
        pan, atc = str(int(NUMBER) + number), 0x0240 + number
        key = udk_option_a(Cipher(Block.TDES, KEY), pan, "01")
        if scheme:
            key = derive_key(scheme, Cipher(Block.TDES, key), index)
        arqc = SessionKey(CardAlgorithm.TDES, session_key_pboc(Cipher(Block.TDES, key), atc)).cryptogram(DATA)
        checks.append(ARQCCheck(
            imk=imk, algorithm=Algorithm.TDES, pan=pan, psn="01", atc=atc, data=DATA, arqc=arqc,
            scheme=scheme, diversifier=index,
        ))  # fmt: skip
    return checks


def _judge(hsm: SoftHSM, checks: Sequence[ARQCCheck]) -> Work:
    def work() -> int:
        proofs = [proof for proof in hsm.verify_arqcs(checks) if proof]
        assert len(hsm.make_arpcs([(proof, b"00") for proof in proofs])) == len(checks)
        return len(checks)

    return work


def _pyemv() -> Plain:
    ac, kd = import_module("pyemv.ac"), import_module("pyemv.kd")
    diversifier = bytes.fromhex("0240000000000000")
    known = ac.generate_ac(kd.derive_common_sk(kd.derive_icc_mk_a(KEY, NUMBER, "01"), diversifier), DATA)

    def one() -> None:
        session = kd.derive_common_sk(kd.derive_icc_mk_a(KEY, NUMBER, "01"), diversifier)
        arqc = ac.generate_ac(session, DATA)
        assert arqc == known
        ac.generate_arpc_1(session, arqc, b"00")

    return one


# -- PINs and MACs -----------------------------------------------------------------------------------------------------


def _translation(hsm: SoftHSM, seconds: float) -> Row:
    block = encipher_pin(Cipher(Block.TDES, KEY), PinFormat.ISO0, PIN("123456"), pan=NUMBER)
    keys = _key(hsm, KeyUsage.PIK, KEY), _key(hsm, KeyUsage.PIK, OTHER_KEY)
    jobs = [PINTranslation(block=block, from_key=keys[0], to_key=keys[1], pan=NUMBER)] * BATCH

    def ours() -> int:
        hsm.translate_pins(jobs)
        return BATCH

    theirs: Plain | None = None
    try:
        des, pinblock = import_module("psec.des"), import_module("psec.pinblock")
    except ImportError:
        note = MISSING.format("psec")
    else:
        note = ""

        def theirs() -> object:
            pin = pinblock.decode_pinblock_iso_0(des.decrypt_tdes_ecb(KEY, block), NUMBER)
            return des.encrypt_tdes_ecb(OTHER_KEY, pinblock.encode_pinblock_iso_0(pin, NUMBER))

    return _row("PIN translation, ISO 9564 format 0 / psec", ours, repeated(theirs) if theirs else None, seconds, note=note)


def _macs(hsm: SoftHSM, seconds: float) -> list[Row]:
    mak = _key(hsm, KeyUsage.MAK, KEY)

    def ours(algorithm: MACAlgorithm) -> Work:
        jobs = [MACJob(key=mak, algorithm=algorithm, data=MAB)] * BATCH
        return lambda: len(hsm.make_macs(jobs))

    theirs: Work | None = None
    try:
        mac = import_module("psec.mac")
        note, theirs = "", repeated(lambda: mac.generate_retail_mac(KEY[:8], KEY[8:], MAB, 1))
    except ImportError:
        note = MISSING.format("psec")
    size, ecb = f"{len(MAB)} bytes", ours(MACAlgorithm.UNIONPAY_ECB)
    return [
        _row(f"DE128 MAC, X9.19 over {size} / psec", ours(MACAlgorithm.X9_19), theirs, seconds, note=note),
        _row(f"DE64 MAC, UnionPay ECB over {size}", ecb, None, seconds, note="psec has no such MAC"),
    ]


# -- phones ------------------------------------------------------------------------------------------------------------


def _phones(hsm: SoftHSM, seconds: float) -> list[Row]:
    whole, single = _key_sets(hsm, 1, USES), _key_sets(hsm, USES, 1)
    cards, phones = _checks(hsm, BATCH), _checks(hsm, BATCH, scheme=KeyScheme.SHANFU_1)
    return [
        _row(f"key set of {USES} single-use keys, wrapped / a call for each key", whole, single, seconds),
        _row("key set of one limited-use key, wrapped", _key_sets(hsm, 1, 1, scheme=KeyScheme.SHANFU_1), None, seconds),
        _row(f"phone's ARQC verify and ARPC, {BATCH} at a time / a card's", _judge(hsm, phones), _judge(hsm, cards), seconds),
    ]


def _key_sets(hsm: SoftHSM, calls: int, uses: int, *, scheme: KeyScheme = KeyScheme.SUK) -> Work:
    """Return a work that fetches the keys of one token in so many calls of so many ATCs; it counts as one."""
    imk, phone = _key(hsm, KeyUsage.IMK_AC, KEY), P256Key.generate().point
    jobs = [
        KeySetJob(
            imk=imk, scheme=scheme, pan=NUMBER, psn="00", index=key_index_bytes(INDEX), atc_first=1 + uses * call,
            atc_last=uses * (call + 1), wrap_key=phone, context=b"keys",
        )
        for call in range(calls)
    ]  # fmt: skip

    def work() -> int:
        for job in jobs:
            hsm.derive_key_sets([job])
        return 1

    return work


def _row(name: str, ours: Work, theirs: Work | None, seconds: float, *, goal: float | None = None, note: str = "") -> Row:
    mine, other = time_us(ours, theirs, seconds)
    rule: Rule = "ratio at most" if goal else ""
    return Row(name=name, ours=mine, other=other, unit="µs", rule=rule, goal=goal, note=note)
