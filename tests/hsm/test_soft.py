"""SoftHSM: what it computes, against `shanfu.crypto` and the vectors; what it refuses; what it forgets and never tells."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu import crypto
from shanfu.crypto import PIN, BlockKey, Cipher, P256Key, encipher_pin
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import (
    HSM,
    LMK,
    Algorithm,
    ARQCCheck,
    KeyBlock,
    KeyScheme,
    KeySetJob,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINBlockFormat,
    PINCheck,
    PINTranslation,
    PINVerdict,
    Proof,
    SealedPAN,
    SoftHSM,
    WorkingKey,
)
from shanfu.hsm import bench as bench_module
from shanfu.hsm import soft as soft_module
from shanfu.hsm.bench import Bench
from shanfu.hsm.rules import KEY_RULES
from tests.budget import examples

TDES, SM4, AES, HMAC, P256 = Algorithm.TDES, Algorithm.SM4, Algorithm.AES, Algorithm.HMAC, Algorithm.P256
KEY = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
IMK = bytes.fromhex("F0C34A8124CEE0A91A0B034AA97D6EAC")  # emv_crypto vectors: the published ARQC and ARPC
UDK = bytes.fromhex("014D996FCC8F49157DC8B49E3BCDFD99")
DATA = bytes.fromhex("000000000001000000000000015600800460000156140701001E78EEBC7D00024003A04002")
ARQC, ARPC = bytes.fromhex("5D016C91005E7CC2"), bytes.fromhex("21415243527CE78F")
PAN = "6228480000000000005"

LMKEY = LMK(bytes(range(32)))


@pytest.fixture
def hsm() -> SoftHSM:
    return SoftHSM(LMKEY)


def known(hsm: SoftHSM, usage: KeyUsage, key: bytes = KEY, algorithm: Algorithm = TDES) -> KeyBlock:
    """A key whose value the test knows, formed as a ceremony forms one."""
    mask = b"\x5a" * len(key)
    return hsm.form(usage, algorithm, [mask, bytes(a ^ b for a, b in zip(key, mask, strict=True))])


def test_it_is_an_hsm(hsm):
    door: HSM = hsm  # mypy would say so; here at least every name is there
    assert all(callable(getattr(door, name)) for name in vars(HSM) if not name.startswith("_"))


# Messages


MAC_ROWS = [  # algorithm, cipher, key, message, MAC on the wire: the published examples of iso8583_mac.json
    (MACAlgorithm.UNIONPAY_ECB, TDES, "2222222222222222", "1234567890ABCDEFABCDEF1234567890", b"E267B6E2"),
    (MACAlgorithm.X9_9, TDES, "0123456789ABCDEF", b"0123456789ABCDEFGHIJKLMN".hex(), b"1B9EC040"),
    (MACAlgorithm.X9_9, TDES, KEY.hex(), b"0123456789ABCDEFGHIJKLMN".hex(), b"1B9EC040"),
    (MACAlgorithm.X9_19, TDES, KEY.hex(), b"0123456789ABCDEFGHIJKLMN".hex(), b"4A048092"),
    (MACAlgorithm.SM4_CBC, SM4, "C5945F5BDF1E2DD83C6BFCA9699975F3",
     b"PCK1209339432640F07BEC962141300010024402220516956".hex(), b"55BD7EFE"),
    (MACAlgorithm.UNIONPAY_ECB, SM4, "12345678901234567890123456789012",
     "36303030313132303138313131343131303033303230313730393330313031303130313230313731303235303030373535303030303030303035353533",
     b"1E80F373"),
]  # fmt: skip


@pytest.mark.parametrize("row", MAC_ROWS)
def test_published_macs(hsm, row):
    algorithm, cipher, key, message, mac = row
    job = MACJob(key=known(hsm, KeyUsage.MAK, bytes.fromhex(key), cipher), algorithm=algorithm, data=bytes.fromhex(message))
    assert hsm.make_macs([job, job]) == [mac, mac]
    wrong = [b"", mac[:4], mac.lower(), mac[::-1], mac + b" ", b"\xff" * 8]
    assert hsm.verify_macs([(job, mac), *((job, other) for other in wrong)]) == [True] + [False] * len(wrong)


@pytest.mark.parametrize(
    ("algorithm", "cipher"),
    [(MACAlgorithm.X9_9, SM4), (MACAlgorithm.X9_19, SM4), (MACAlgorithm.SM4_CBC, TDES)],
)
def test_a_mac_under_a_key_of_another_cipher_is_refused(hsm, algorithm, cipher):
    with pytest.raises(KeyUseError):
        hsm.make_macs([MACJob(key=known(hsm, KeyUsage.MAK, KEY, cipher), algorithm=algorithm, data=b"x")])


# PINs


def pin_block(form: PINBlockFormat, key: bytes, pin: str = "123456", pan: str = PAN) -> bytes:
    inner = soft_module.FORMATS[form]
    return encipher_pin(Cipher(inner.cipher, key), inner, PIN(pin), pan=pan, fill="ABCDEFABCDEFABCD")


ISO_0, ISO_1, ISO_3 = PINBlockFormat.ISO_0, PINBlockFormat.ISO_1, PINBlockFormat.ISO_3
NO_PAN, SM4_X98 = PINBlockFormat.X98_NO_PAN, PINBlockFormat.SM4_X98
CIPHER = {SM4_X98: SM4}


def translation(hsm, source, target, **changes):
    fields = {
        "block": pin_block(source, KEY), "pan": PAN, "from_format": source, "to_format": target,
        "from_key": known(hsm, KeyUsage.PIK, KEY, CIPHER.get(source, TDES)),
        "to_key": known(hsm, KeyUsage.PIK, KEY[::-1], CIPHER.get(target, TDES)),
    }  # fmt: skip
    return PINTranslation(**fields | changes)


@pytest.mark.parametrize(
    ("source", "target"),
    [(ISO_0, ISO_0), (ISO_0, ISO_3), (ISO_3, ISO_0), (ISO_1, ISO_0), (ISO_1, ISO_3), (NO_PAN, ISO_0), (ISO_0, SM4_X98),
     (SM4_X98, SM4_X98), (ISO_1, ISO_1), (NO_PAN, NO_PAN)],
)  # fmt: skip
def test_translated_blocks_hold_the_same_pin(hsm, source, target):
    (block,) = hsm.translate_pins([translation(hsm, source, target)])
    form = soft_module.FORMATS[target]
    assert crypto.decipher_pin(Cipher(form.cipher, KEY[::-1]), form, block, pan=PAN) == PIN("123456")


@pytest.mark.parametrize("form", [ISO_1, ISO_3])
def test_random_fill_is_random(hsm, form):
    job = translation(hsm, form, form)
    assert len(set(hsm.translate_pins([job] * 20))) == 20


@pytest.mark.parametrize(("source", "target"), [(ISO_0, ISO_1), (ISO_3, ISO_1), (ISO_0, NO_PAN), (SM4_X98, ISO_0)])
def test_forbidden_translations(hsm, source, target):
    with pytest.raises(KeyUseError):
        hsm.translate_pins([translation(hsm, source, target)])


def test_sm4_to_3des_by_policy_only():
    hsm = SoftHSM(LMKEY, pin_downgrade=True)
    (block,) = hsm.translate_pins([translation(hsm, SM4_X98, ISO_0)])
    assert block == pin_block(ISO_0, KEY[::-1])


def test_the_published_translation_to_sm4(hsm):  # crypto_pin vectors, pin-translate-iso0-to-sm4-001
    job = PINTranslation(
        block=bytes.fromhex("2B7072E4573C9820"),
        pan="5826718084287563624",
        from_key=known(hsm, KeyUsage.PIK, bytes.fromhex("893EB3B354A1D391D3CE68048F0294C8")),
        to_key=known(hsm, KeyUsage.PIK, bytes.fromhex("B9E09A2C24054D927531F7A23A86614D"), SM4),
        to_format=SM4_X98,
    )
    assert hsm.translate_pins([job]) == [bytes.fromhex("6DE915426D6AD179D4597246A71E8B25")]


UNREADABLE = [
    ("another PAN", {"pan": "6228480000000100005"}),
    ("a random block", {"block": bytes(8)}),
    ("a short block", {"block": bytes(7)}),
    ("no block", {"block": b""}),
    ("a long block", {"block": bytes(16)}),
    ("not a PAN", {"pan": "12"}),
]


@pytest.mark.parametrize("changes", [pytest.param(c, id=what) for what, c in UNREADABLE])
def test_what_cannot_be_read_has_one_answer(hsm, changes):
    good = translation(hsm, ISO_0, ISO_0)
    bad = translation(hsm, ISO_0, ISO_0, **changes)
    first, none, last = hsm.translate_pins([good, bad, good])
    assert (first, none) == (last, None)
    assert first is not None
    check = {"key": bad.from_key, "pvk": known(hsm, KeyUsage.PVK), "pvv": "0000", "block": bad.block, "pan": bad.pan}
    assert hsm.verify_pins([PINCheck(**check)]) == [PINVerdict.UNREADABLE]


@pytest.mark.parametrize(("pin", "verdict"), [("123456", PINVerdict.RIGHT), ("123556", PINVerdict.WRONG)])
@pytest.mark.parametrize("form", [ISO_0, ISO_3, SM4_X98, NO_PAN])
def test_a_pin_is_checked_against_its_pvv(hsm, pin, verdict, form):
    pik, pvk = known(hsm, KeyUsage.PIK, KEY, CIPHER.get(form, TDES)), known(hsm, KeyUsage.PVK, IMK)
    common = {"key": pik, "pvk": pvk, "pan": PAN, "format": form, "pvki": "1"}
    pvv = hsm.make_pvv(PINCheck(block=pin_block(form, KEY), pvv="", **common))
    assert pvv == crypto.visa_pvv(Cipher(crypto.Algorithm.TDES, IMK), PIN("123456"), pan=PAN, pvki=1)
    check = PINCheck(block=pin_block(form, KEY, pin), pvv=pvv, **common)
    assert hsm.verify_pins([check]) == [verdict]


def test_make_pvv_refuses_an_unreadable_block_and_a_strange_index(hsm):
    fields = {"key": known(hsm, KeyUsage.PIK), "pvk": known(hsm, KeyUsage.PVK), "pan": PAN, "pvv": ""}
    with pytest.raises(DecodeError):
        hsm.make_pvv(PINCheck(block=bytes(8), **fields))
    with pytest.raises(KeyUseError):
        hsm.make_pvv(PINCheck(block=pin_block(ISO_0, KEY), pvki="x", **fields))


# Cryptograms


def arqc_check(hsm, **changes):
    fields = {
        "imk": known(hsm, KeyUsage.IMK_AC, IMK), "algorithm": TDES, "pan": "6228000100001", "psn": "01", "atc": 0x0240,
        "data": DATA, "arqc": ARQC,
    }  # fmt: skip
    return ARQCCheck(**fields | changes)


def key_set(imk):
    return KeySetJob(imk=imk, scheme=KeyScheme.SUK, pan=PAN, psn="00", index=bytes(4), atc_first=1, atc_last=2,
                     wrap_key=P256Key((1).to_bytes(32)).point, context=b"")  # fmt: skip


def test_the_published_cryptogram_buys_the_published_answer(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    assert hsm.make_arpcs([(proof, b"01")]) == [ARPC]


def test_a_laboratory_cards_own_key_does_the_same(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm, imk=known(hsm, KeyUsage.UDK_AC, UDK), pan="0" * 12)])
    assert hsm.make_arpcs([(proof, b"01")]) == [ARPC]


def test_sm4_cards(hsm):
    imk = Cipher(crypto.Algorithm.SM4, IMK)
    key = crypto.session_key_pboc(Cipher(crypto.Algorithm.SM4, crypto.udk_option_a(imk, PAN, "01")), 7)
    session = crypto.SessionKey(crypto.CardAlgorithm.SM4, key)
    arqc = session.cryptogram(DATA)
    check = arqc_check(hsm, imk=known(hsm, KeyUsage.IMK_AC, IMK, SM4), algorithm=SM4, pan=PAN, atc=7, arqc=arqc)
    (proof,) = hsm.verify_arqcs([check])
    assert hsm.make_arpcs([(proof, b"00")]) == [session.arpc(arqc, b"00")]


FALSE = [{"pan": "6228000100002"}, {"psn": "02"}, {"atc": 0x0241}, {"data": DATA[:-1]}, {"arqc": bytes(8)}, {"arqc": ARQC[:7]},
         {"arqc": b""}]  # fmt: skip


@pytest.mark.parametrize("changes", FALSE)
def test_a_false_cryptogram_gives_no_proof_and_spoils_no_neighbour(hsm, changes):
    good = arqc_check(hsm)
    first, false, last = hsm.verify_arqcs([good, arqc_check(hsm, **changes), good])
    assert false is None
    assert hsm.make_arpcs([(last, b"01"), (first, b"05")])[0] == ARPC


def test_a_proof_buys_once(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    hsm.make_arpcs([(proof, b"00")])
    with pytest.raises(KeyUseError, match="spent"):
        hsm.make_arpcs([(proof, b"00")])


def test_a_batch_with_one_bad_proof_spends_none(hsm):
    one, two = hsm.verify_arqcs([arqc_check(hsm)] * 2)
    for bad in (Proof(b"x" * 16), one):
        with pytest.raises(KeyUseError):
            hsm.make_arpcs([(one, b"00"), (two, b"00"), (bad, b"00")])
    assert len(hsm.make_arpcs([(one, b"00"), (two, b"00")])) == 2


def test_a_proof_is_bound_to_its_cryptogram(hsm):
    """Two taps verified together: each proof answers its own, in whatever order they are spent."""
    imk = Cipher(crypto.Algorithm.TDES, IMK)
    banks = crypto.IssuerCryptograms(crypto.CardAlgorithm.TDES)
    taps, answers = [], []
    for atc in (5, 6):
        session = crypto.SessionKey(crypto.CardAlgorithm.TDES, banks.session_key(imk, pan=PAN, psn="00", atc=atc))
        arqc = session.cryptogram(DATA)
        taps.append(arqc_check(hsm, pan=PAN, psn="00", atc=atc, arqc=arqc))
        answers.append(session.arpc(arqc, b"00"))
    first, second = hsm.verify_arqcs(taps)
    assert hsm.make_arpcs([(second, b"00"), (first, b"00")]) == answers[::-1]


def test_another_hsm_does_not_take_the_proof(hsm):
    (proof,) = hsm.verify_arqcs([arqc_check(hsm)])
    with pytest.raises(KeyUseError):
        SoftHSM(LMKEY).make_arpcs([(proof, b"00")])


def test_unanswered_proofs_are_bounded(hsm, monkeypatch):
    monkeypatch.setattr(soft_module, "LIMIT_PROOFS", 3)
    proofs = hsm.verify_arqcs([arqc_check(hsm)] * 5)
    assert len(hsm.make_arpcs([(proof, b"00") for proof in proofs[2:]])) == 3
    with pytest.raises(KeyUseError):
        hsm.make_arpcs([(proofs[0], b"00")])


def test_a_master_key_serves_its_own_cipher_only(hsm):
    with pytest.raises(KeyUseError):
        hsm.verify_arqcs([arqc_check(hsm, algorithm=SM4)])


# Books


def test_sealed_fields_open_in_their_own_context_only(hsm):
    key, other = (hsm.generate(KeyUsage.SEAL, AES) for _ in range(2))
    items = [(b"6228480000000000005", b"journal/1"), (b"", b""), (b"x" * 5000, b"journal/2")]
    sealed = hsm.seal(key, items)
    contexts = [context for _, context in items]
    assert hsm.unseal(key, list(zip(sealed, contexts, strict=True))) == [plain for plain, _ in items]
    assert hsm.seal(key, items)[0] != sealed[0]
    assert b"6228480000" not in sealed[0]
    one = sealed[0]
    refused = [(one, b"journal/2"), (one[:-1], contexts[0]), (one[:12], contexts[0]), (b"", b""), (one[:5], b"")]
    refused += [(one[:at] + bytes([one[at] ^ 1]) + one[at + 1 :], contexts[0]) for at in range(len(one))]
    for item in refused:
        with pytest.raises(IntegrityError):
            hsm.unseal(key, [item])
    with pytest.raises(IntegrityError):
        hsm.unseal(other, [(one, contexts[0])])


def test_lookups_are_stable_under_one_key_and_differ_under_another(hsm):
    key, other = (hsm.generate(KeyUsage.LOOKUP, HMAC) for _ in range(2))
    found = hsm.lookup(key, [b"a", b"b", b"a"])
    assert found[0] == found[2] != found[1]
    assert all(len(text) == 32 and set(text) <= set("0123456789abcdef") for text in found)
    assert hsm.lookup(other, [b"a"]) != found[:1]
    assert SoftHSM(LMKEY).lookup(key, [b"a"]) == found[:1]


# Keys


ALLOWED = [(usage, algorithm) for usage, rule in KEY_RULES.items() for algorithm in sorted(rule.algorithms, key=str)]


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
        "sign": ({"SIGN"}, lambda: hsm.sign(key, b"")),
        "point": ({"SIGN"}, lambda: hsm.public_key(key)),
    }  # fmt: skip
    other_cipher = {(door, SM4) for door in ("from", "to", "pin")}  # an SM4 PIK is refused for a 3DES format, rightly
    other_cipher |= {("set", SM4), ("phone", SM4)}  # limited-use keys are of 3DES
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


def test_working_keys_of_the_published_sign_in(hsm):  # iso8583_working_keys vectors, the 40-byte layout
    tmk = known(hsm, KeyUsage.KEK, bytes.fromhex("CA5D92598DCA48CE8A4C76361A9269E9"))
    pik = WorkingKey(cryptogram=bytes.fromhex("6701EAD6A9AD51E51AA406E2C27FCFA9"), check=bytes.fromhex("8D0A74B8"))
    mak = WorkingKey(cryptogram=bytes.fromhex("B651F9E9BACE9AE1"), check=bytes.fromhex("AB7153CA"))
    taken = hsm.import_working_key(pik, tmk, KeyUsage.PIK, TDES)
    assert hsm.check_value(taken, 4) == pik.check
    assert hsm.check_value(hsm.import_working_key(mak, tmk, KeyUsage.MAK, TDES), 4) == mak.check
    with pytest.raises(KeyUseError):
        hsm.import_working_key(mak, tmk, KeyUsage.PIK, TDES)  # single DES never protects a PIN


@pytest.mark.parametrize(("algorithm", "kek"), [(TDES, TDES), (TDES, SM4), (TDES, AES), (SM4, SM4), (SM4, AES)])
@pytest.mark.parametrize("usage", [KeyUsage.PIK, KeyUsage.MAK])
@pytest.mark.parametrize("length", [3, 4, 8])
def test_working_keys_travel_between_two_hsms(hsm, algorithm, kek, usage, length):
    other, shared = SoftHSM(LMK.generate()), [bytes([7] * 32), bytes(range(32))]
    size = 32 if kek is AES else 16
    here, there = (box.form(KeyUsage.KEK, kek, [part[:size] for part in shared]) for box in (hsm, other))
    key = hsm.generate(usage, algorithm)
    sent = hsm.export_working_key(key, here, length)
    taken = other.import_working_key(sent, there, usage, algorithm)
    assert other.check_value(taken, 8) == hsm.check_value(key, 8)
    assert len(sent.check) == length
    with pytest.raises(KeyUseError):
        other.export_working_key(taken, there)  # what came from a peer does not go on
    for wrong in (
        WorkingKey(cryptogram=sent.cryptogram, check=bytes(length)),
        WorkingKey(cryptogram=bytes(16), check=sent.check),
    ):
        with pytest.raises(IntegrityError):
            other.import_working_key(wrong, there, usage, algorithm)
    no_check = WorkingKey(cryptogram=sent.cryptogram, check=b"")
    assert other.check_value(other.import_working_key(no_check, there, usage, algorithm)) == hsm.check_value(key)


@pytest.mark.parametrize("size", [0, 7, 15, 17, 32])
def test_working_keys_of_a_wrong_length_are_refused(hsm, size):
    kek = known(hsm, KeyUsage.KEK)
    with pytest.raises((DecodeError, KeyUseError)):
        hsm.import_working_key(WorkingKey(cryptogram=bytes(size), check=b""), kek, KeyUsage.PIK, TDES)


def test_no_key_travels_under_a_weaker_one(hsm):
    kek, sm4 = known(hsm, KeyUsage.KEK), hsm.generate(KeyUsage.PIK, SM4)
    with pytest.raises(KeyUseError, match="weaker"):
        hsm.export_working_key(sm4, kek)
    with pytest.raises(KeyUseError, match="weaker"):
        hsm.import_working_key(WorkingKey(cryptogram=KEY, check=b""), kek, KeyUsage.PIK, SM4)
    with pytest.raises(KeyUseError, match="no working key"):
        hsm.import_working_key(WorkingKey(cryptogram=KEY, check=b""), kek, KeyUsage.KEK, TDES)


def shared_kbpk(hsm: SoftHSM, other: SoftHSM) -> tuple[KeyBlock, KeyBlock]:
    parts = [bytes(range(32)), b"\x77" * 32]
    return hsm.form(KeyUsage.KBPK, AES, parts), other.form(KeyUsage.KBPK, AES, parts)


def test_blocks_travel_between_two_hsms(hsm):
    other = SoftHSM(LMK.generate())
    here, there = shared_kbpk(hsm, other)
    for usage in (KeyUsage.KEK, KeyUsage.PIK, KeyUsage.MAK):
        for algorithm in KEY_RULES[usage].algorithms:
            key = hsm.generate(usage, algorithm)
            block = hsm.export_block(key, here)
            taken = other.import_block(block, there)
            assert other.check_value(taken, 8) == hsm.check_value(key, 8)
            assert taken[5:9] == key[5:9]
            with pytest.raises(KeyUseError):
                other.export_block(taken, there)
            for at in (0, 3, 6, 8, 11, 20, len(block) - 1):
                with pytest.raises((DecodeError, IntegrityError)):
                    other.import_block(block[:at] + ("1" if block[at] != "1" else "2") + block[at + 1 :], there)


@pytest.mark.parametrize("usage", [u for u, rule in KEY_RULES.items() if rule.exportability == "N"])
def test_keys_that_never_leave(hsm, usage):
    kbpk = hsm.generate(KeyUsage.KBPK, AES)
    for algorithm in KEY_RULES[usage].algorithms:
        with pytest.raises(KeyUseError, match="not exportable"):
            hsm.export_block(hsm.generate(usage, algorithm), kbpk)


@pytest.mark.parametrize(
    ("header", "size"),
    [(("P0", "T", "E"), 16), (("B0", "T", "X"), 16), (("E0", "A", "X"), 16), (("P0", "D", "B"), 8), (("P0", "T", "B"), 8)],
)
def test_foreign_blocks_of_another_make_are_refused(hsm, header, size):
    """A peer may seal what it likes under the shared key; only usages, modes and lengths that we work with come in."""
    kbpk = hsm.form(KeyUsage.KBPK, AES, [bytes(32), b"\x77" * 32])
    usage, algorithm, mode = header
    text = crypto.KeyHeader(usage=usage, algorithm=algorithm, mode=mode)
    key = bytes(range(size))
    block = BlockKey(b"\x77" * 32).wrap(text, key, pad=bytes(crypto.pad_bytes(text, key)))
    with pytest.raises(KeyUseError):
        hsm.import_block(block, kbpk)


@pytest.mark.parametrize("algorithm", [TDES, SM4])
def test_card_keys_leave_under_the_personalisation_key_only(hsm, algorithm):
    kbpk = hsm.form(KeyUsage.KBPK, AES, [bytes(32), b"\x77" * 32])
    imk = Cipher(getattr(crypto.Algorithm, algorithm.name), IMK)
    expected = crypto.udk_option_a(imk, PAN, "01")
    headers = {}
    for usage in (KeyUsage.IMK_AC, KeyUsage.IMK_MAC, KeyUsage.IMK_ENC):
        block = hsm.derive_card_key(known(hsm, usage, IMK, algorithm), kbpk, pan=PAN, psn="01")
        header, key = BlockKey(b"\x77" * 32).unwrap(block)
        assert (key, header.exportability, header.algorithm) == (expected, "N", algorithm.value)
        headers[usage] = header.usage, header.mode
    assert len(set(headers.values())) == 3  # a card's MAC key can never pass for its AC key
    assert headers[KeyUsage.IMK_AC] == KeyUsage.UDK_AC.value


def test_random_is_bounded(hsm):
    assert len(hsm.random(16)) == 16
    assert hsm.random(16) != hsm.random(16)
    for length in (0, -1, 1025):
        with pytest.raises(DecodeError):
            hsm.random(length)


# What it keeps, and what it tells


def test_opened_keys_are_bounded_and_the_least_used_goes_first(monkeypatch):
    monkeypatch.setattr(bench_module, "LIMIT_OPEN_KEYS", 3)
    hsm, bench = SoftHSM(LMKEY), Bench(LMKEY)
    blocks = [hsm.generate(KeyUsage.MAK, TDES) for _ in range(4)]
    for block in (*blocks[:3], blocks[0], blocks[3]):
        bench.use(block, KeyUsage.MAK)
    assert list(bench._open) == [blocks[2], blocks[0], blocks[3]]
    assert bench.use(blocks[1], KeyUsage.MAK).key != bench.use(blocks[2], KeyUsage.MAK).key


def test_threads_share_no_context(hsm):
    """Eight threads work with the same keys at once; a shared cipher context would mix their chains up."""
    job = MACJob(key=known(hsm, KeyUsage.MAK), algorithm=MACAlgorithm.X9_19, data=bytes(range(250)))
    check, (mac,) = arqc_check(hsm), hsm.make_macs([job])
    faults: list[object] = []

    def work() -> None:
        for _ in range(60):
            proofs = hsm.verify_arqcs([check])
            answers = hsm.make_arpcs([(proof, b"01") for proof in proofs])
            if hsm.make_macs([job]) != [mac] or answers != [ARPC]:
                faults.append(answers)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


@given(st.sampled_from(ALLOWED))
@settings(max_examples=examples(20, heavy=200), deadline=None)
def test_nothing_shows_a_key_or_a_pin(pair):
    usage, algorithm = pair
    hsm = SoftHSM(LMKEY)
    size = 32 if algorithm in (HMAC, P256) else 16
    key = b"\xc3\x51" * (size // 2)
    block = known(hsm, usage, key, algorithm)
    opened = Bench(LMKEY).any_use(block)
    told = [repr(hsm), repr(opened), repr(LMKEY), repr(Proof(key)), block]
    for operation in (
        lambda: hsm.seal(block, [(b"", b"")]),
        lambda: hsm.lookup(block, [b""]),
        lambda: hsm.export_working_key(block, block),
        lambda: hsm.import_block("D0112M3TC00E0000" + "0" * 96, block),
        lambda: hsm.verify_pins([PINCheck(block=key, key=block, pvk=block, pan=PAN, pvv="7351")]),
    ):
        try:
            operation()
        except (KeyUseError, IntegrityError, DecodeError) as error:
            told.append(f"{error} {error!r} {error.__cause__!r}")
    shown = " ".join(told)
    for secret in (key.hex(), key.hex().upper(), repr(key)[2:-1], LMKEY.key.hex(), PAN, "7351"):
        assert secret not in shown
