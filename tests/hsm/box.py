"""What the tests of the HSM share: published keys and figures, keys whose value the test knows, jobs to change."""

from datetime import date

from shanfu.crypto import PIN, Cipher, P256Key, encipher_pin
from shanfu.hsm import (
    LMK,
    Algorithm,
    ARQCCheck,
    CardCertificateJob,
    CardPairJob,
    IssuerCertificateJob,
    KeyBlock,
    KeyScheme,
    KeySetJob,
    KeyUsage,
    PINBlockFormat,
    PINTranslation,
    ScriptJob,
    SoftHSM,
)
from shanfu.hsm.pins import FORMATS
from shanfu.hsm.rules import KEY_RULES
from shanfu.oda import CAKey

TDES, SM4, AES, HMAC, P256 = Algorithm.TDES, Algorithm.SM4, Algorithm.AES, Algorithm.HMAC, Algorithm.P256
RSA, SM2 = Algorithm.RSA, Algorithm.SM2
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
IMK = bytes.fromhex("F0C34A8124CEE0A91A0B034AA97D6EAC")  # emv_crypto vectors: the published ARQC and ARPC
UDK = bytes.fromhex("014D996FCC8F49157DC8B49E3BCDFD99")
DATA = bytes.fromhex("000000000001000000000000015600800460000156140701001E78EEBC7D00024003A04002")
ARQC, ARPC = bytes.fromhex("5D016C91005E7CC2"), bytes.fromhex("21415243527CE78F")
PAN = "6228480000000000005"

LMKEY = LMK(bytes(range(32)))
RID, EXPIRES, SERIAL = bytes.fromhex("A000000333"), date(2030, 12, 31), b"\0\0\1"
ISO_0, ISO_1, ISO_3 = PINBlockFormat.ISO_0, PINBlockFormat.ISO_1, PINBlockFormat.ISO_3
NO_PAN, SM4_X98 = PINBlockFormat.X98_NO_PAN, PINBlockFormat.SM4_X98
CIPHER = {SM4_X98: SM4}
ALLOWED = [(usage, algorithm) for usage, rule in KEY_RULES.items() for algorithm in sorted(rule.algorithms, key=str)]


def known(hsm: SoftHSM, usage: KeyUsage, key: bytes = KEY, algorithm: Algorithm = TDES) -> KeyBlock:
    """A key whose value the test knows, formed as a ceremony forms one."""
    mask = b"\x5a" * len(key)
    return hsm.form(usage, algorithm, [mask, bytes(a ^ b for a, b in zip(key, mask, strict=True))])


def pin_block(form: PINBlockFormat, key: bytes, pin: str = "123456", pan: str = PAN) -> bytes:
    inner = FORMATS[form]
    return encipher_pin(Cipher(inner.cipher, key), inner, PIN(pin), pan=pan, fill="ABCDEFABCDEFABCD")


def translation(hsm, source, target, **changes):
    fields = {
        "block": pin_block(source, KEY), "pan": PAN, "from_format": source, "to_format": target,
        "from_key": known(hsm, KeyUsage.PIK, KEY, CIPHER.get(source, TDES)),
        "to_key": known(hsm, KeyUsage.PIK, KEY[::-1], CIPHER.get(target, TDES)),
    }  # fmt: skip
    return PINTranslation(**fields | changes)


def arqc_check(hsm, **changes):
    fields = {
        "imk": known(hsm, KeyUsage.IMK_AC, IMK), "algorithm": TDES, "pan": "6228000100001", "psn": "01", "atc": 0x0240,
        "data": DATA, "arqc": ARQC,
    }  # fmt: skip
    return ARQCCheck(**fields | changes)


def key_set(imk):
    return KeySetJob(imk=imk, scheme=KeyScheme.SUK, pan=PAN, psn="00", index=bytes(4), atc_first=1, atc_last=2,
                     wrap_key=P256Key((1).to_bytes(32)).point, context=b"")  # fmt: skip


def script(hsm, **changes):
    """PUT DATA 9F79 for the card of the published cryptogram."""
    fields = {"header": bytes.fromhex("04DA9F79"), "data": bytes.fromhex("000000100000")}
    fields |= {"proof": changes.get("proof") or hsm.verify_arqcs([arqc_check(hsm)])[0]}
    fields |= {"imk_mac": changes.get("imk_mac") or known(hsm, KeyUsage.IMK_MAC)}
    return ScriptJob(**fields | changes)


def public_of(hsm, pair):
    """The public half of a pair; another for a key that is none, so that the key itself is refused and not the question."""
    is_pair = pair[5:7] in ("S1", "S2")
    return hsm.public_part(pair if is_pair else hsm.generate(KeyUsage.CA_PAIR, SM2))


def issuer_job(hsm, ca, **changes):
    public = public_of(hsm, ca)
    authority = CAKey(rid=RID, index=0x80, key=public)
    fields = {"ca": ca, "authority": authority, "issuer": public, "issuer_id": "622848", "expires": EXPIRES, "serial": SERIAL}
    return IssuerCertificateJob(**fields | changes)


def card_job(hsm, issuer, **changes):
    fields = {"issuer": issuer, "icc": public_of(hsm, issuer), "pan": PAN, "expires": EXPIRES, "serial": SERIAL, "static": b"x"}
    return CardCertificateJob(**fields | changes)


def pair_job(issuer, under, **changes):
    fields = {"issuer": issuer, "under": under, "pan": PAN, "expires": EXPIRES, "serial": SERIAL, "static": b"x"}
    return CardPairJob(**fields | {"bits": 1024} | changes)
