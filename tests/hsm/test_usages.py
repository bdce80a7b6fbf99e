"""Every usage has its ciphers, every key its operations, every block its HSM."""

import pytest

from shanfu import crypto
from shanfu.crypto import Cipher
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import (
    LMK,
    Algorithm,
    CVVJob,
    KeyBlock,
    KeyScheme,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINCheck,
    PINTranslation,
    SealedPAN,
    SoftHSM,
    WorkingKey,
)
from tests.hsm.box import (
    AES,
    ALLOWED,
    HMAC,
    ISO_0,
    KEY,
    PAN,
    SM2,
    SM4,
    TDES,
    arqc_check,
    card_job,
    issuer_job,
    key_set,
    known,
    pair_job,
    pin_block,
    script,
)


@pytest.mark.parametrize("usage", list(KeyUsage))
@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_usage_has_its_ciphers_only(hsm, usage, algorithm):
    if (usage, algorithm) in ALLOWED:
        block = hsm.generate(usage, algorithm)
        assert len(hsm.check_value(block)) == 3
        assert (block[5:7], block[8], block[7]) == (*usage.value, algorithm.value)
        assert hsm.generate(usage, algorithm) != block
    else:
        with pytest.raises(KeyUseError):
            hsm.generate(usage, algorithm)


@pytest.mark.parametrize(("usage", "algorithm"), ALLOWED)
def test_a_key_is_used_for_its_usage_only(hsm, usage, algorithm):
    """Every operation is tried with every kind of key: exactly those that the usage names get past the door."""
    key = hsm.generate(usage, algorithm)
    mak, pik, pvk = known(hsm, KeyUsage.MAK), known(hsm, KeyUsage.PIK), known(hsm, KeyUsage.PVK)
    kek, kbpk = hsm.generate(KeyUsage.KEK, AES), hsm.generate(KeyUsage.KBPK, AES)
    sm2_issuer = hsm.generate(KeyUsage.ISSUER_PAIR, SM2)
    pan = {"pan": PAN, "block": pin_block(ISO_0, KEY)}
    doors = {
        "mac": ({"MAK"}, lambda: hsm.make_macs([MACJob(key=key, algorithm=MACAlgorithm.UNIONPAY_ECB, data=b"x")])),
        "from": ({"PIK"}, lambda: hsm.translate_pins([PINTranslation(from_key=key, to_key=pik, **pan)])),
        "to": ({"PIK"}, lambda: hsm.translate_pins([PINTranslation(from_key=pik, to_key=key, **pan)])),
        "pin": ({"PIK"}, lambda: hsm.verify_pins([PINCheck(key=key, pvk=pvk, pvv="1234", **pan)])),
        "pvv": ({"PVK"}, lambda: hsm.verify_pins([PINCheck(key=pik, pvk=key, pvv="1234", **pan)])),
        "arqc": ({"IMK_AC", "UDK_AC"}, lambda: hsm.verify_arqcs([arqc_check(hsm, imk=key, algorithm=algorithm)])),
        "seal": ({"SEAL", "SESSION", "VAULT"}, lambda: hsm.seal(key, [(b"", b"")])),
        "unseal": ({"SEAL", "SESSION", "VAULT"}, lambda: hsm.unseal(key, [])),
        "speak": ({"SESSION"}, lambda: hsm.seal_sessions([(key, b"", b"")])),
        "hear": ({"SESSION"}, lambda: hsm.unseal_sessions([(key, b"", b"")])),
        "lookup": ({"LOOKUP"}, lambda: hsm.lookup(key, [b""])),
        "working": ({"MAK", "PIK"}, lambda: hsm.export_working_key(key, kek)),
        "kek": ({"KEK"}, lambda: hsm.import_working_key(WorkingKey(cryptogram=KEY, check=b""), key, KeyUsage.MAK, TDES)),
        "under": ({"KEK"}, lambda: hsm.export_working_key(mak, key)),
        "export": ({"KEK", "MAK", "PIK"}, lambda: hsm.export_block(key, kbpk)),
        "kbpk": ({"KBPK"}, lambda: hsm.export_block(mak, key)),
        "derive": ({"IMK_AC", "IMK_ENC", "IMK_MAC"}, lambda: hsm.derive_card_key(key, kbpk, pan=PAN, psn="00")),
        "perso": ({"KBPK"}, lambda: hsm.derive_card_key(known(hsm, KeyUsage.IMK_AC), key, pan=PAN, psn="00")),
        "set": ({"IMK_AC"}, lambda: hsm.derive_key_sets([key_set(key)])),
        "phone": ({"IMK_AC"}, lambda: hsm.verify_arqcs([arqc_check(hsm, imk=key, algorithm=algorithm, scheme=KeyScheme.SUK)])),
        "vault": ({"VAULT"}, lambda: hsm.translate_pins([PINTranslation(
            from_key=pik, to_key=pik, account=SealedPAN(key=key, sealed=b""), **pan)])),
        "make code": ({"CVK"}, lambda: hsm.make_cvv(CVVJob(key=key, pan=PAN, expiry_yymm="3012", service_code="220"))),
        "code": ({"CVK"}, lambda: hsm.verify_cvvs([(CVVJob(key=key, pan=PAN, expiry_yymm="3012", service_code="220"), "1")])),
        "script": ({"IMK_MAC", "UDK_MAC"}, lambda: hsm.make_scripts([script(hsm, imk_mac=key)])),
        "secret": ({"IMK_ENC", "UDK_ENC"}, lambda: hsm.make_scripts([script(hsm, imk_enc=key, enciphered=True)])),
        "public": ({"CA_PAIR", "ISSUER_PAIR"}, lambda: hsm.public_part(key)),
        "certify issuer": ({"CA_PAIR"}, lambda: hsm.certify_issuer(issuer_job(hsm, key))),
        "certify card": ({"ISSUER_PAIR"}, lambda: hsm.certify_card(card_job(hsm, key))),
        "static": ({"ISSUER_PAIR"}, lambda: hsm.sign_static(key, static=b"", code=bytes(2))),
        "pair": ({"ISSUER_PAIR"}, lambda: hsm.make_card_pair(pair_job(key, kbpk))),
        "pair under": ({"KBPK"}, lambda: hsm.make_card_pair(pair_job(sm2_issuer, key))),
        "sign": ({"SIGN"}, lambda: hsm.sign(key, b"")),
        "point": ({"SIGN"}, lambda: hsm.public_key(key)),
    }  # fmt: skip
    other_cipher = {(door, SM4) for door in ("from", "to", "pin")}  # an SM4 PIK is refused for a 3DES format, rightly
    other_cipher |= {("set", SM4), ("phone", SM4)}  # limited-use keys are of 3DES
    other_cipher |= {("script", SM4), ("secret", SM4)}  # the card's cryptogram was one of 3DES
    passed = set()
    for door, (_, operation) in doors.items():
        try:
            operation()
            passed.add(door)
        except KeyUseError:
            continue
    expected = {door for door, (usages, _) in doors.items() if usage.name in usages and (door, algorithm) not in other_cipher}
    assert passed == expected


def test_no_other_lmk_opens_a_block(hsm):
    other = SoftHSM(LMK.generate())
    for usage, algorithm in ALLOWED:
        block = hsm.generate(usage, algorithm)
        with pytest.raises(IntegrityError):
            other.check_value(block)


@pytest.mark.parametrize("text", ["", "D", "D0144M3TC00E0000", "x" * 144, "D0112M3TC00E0000" + "0" * 96])
def test_what_is_no_block_is_refused(hsm, text):
    with pytest.raises((DecodeError, IntegrityError)):
        hsm.check_value(KeyBlock(text))


def test_a_usage_cannot_be_edited(hsm):
    block = hsm.generate(KeyUsage.PIK, TDES)
    header, body = block[:16], block[16:]
    for other in ("M3TC", "10TB", "P0TN"):
        edited = header.replace("P0TB", other) + body
        assert edited != block
        with pytest.raises(IntegrityError):
            hsm.check_value(KeyBlock(edited))


@pytest.mark.parametrize(
    ("usage", "algorithm", "size"),
    [(KeyUsage.PIK, TDES, 8), (KeyUsage.KEK, TDES, 8), (KeyUsage.SEAL, AES, 20), (KeyUsage.LOOKUP, HMAC, 16),
     (KeyUsage.PIK, SM4, 32), (KeyUsage.MAK, TDES, 7)],
)  # fmt: skip
def test_keys_of_a_wrong_or_weak_length_are_refused(hsm, usage, algorithm, size):
    with pytest.raises(KeyUseError):
        hsm.form(usage, algorithm, [bytes(size), b"\x01" * size])


def test_components_form_the_published_key(hsm):  # crypto_kcv vectors, xor-components-001
    parts = ["61F98F65AFA58037E523091ECA6FA714", "2C7885A72162A1CB8454CAA08AED7736", "7510EF5A2978ADFE2BD36E94FA529325"]
    block = hsm.form(KeyUsage.KEK, TDES, [bytes.fromhex(part) for part in parts])
    assert hsm.check_value(block).hex().upper() == "F4D2DB"
    for wrong in ([bytes(16)], [], [bytes(16), bytes(8)]):
        with pytest.raises(DecodeError):
            hsm.form(KeyUsage.KEK, TDES, wrong)


def test_check_values(hsm):
    aes = known(hsm, KeyUsage.KEK, KEY, AES)
    cipher = Cipher(crypto.Algorithm.AES, KEY)
    assert hsm.check_value(aes, 5) == crypto.kcv(cipher, crypto.Place.CMAC5)
    sm4 = known(hsm, KeyUsage.KEK, bytes.fromhex("F351D490994603795C6EBEE8FAEBB481"), SM4)
    assert hsm.check_value(sm4, 8).hex().upper() == "861E83E31FAEBF10"  # iso8583_working_keys vectors
    for length in (0, 2, 9, 16):
        with pytest.raises(DecodeError):
            hsm.check_value(aes, length)
