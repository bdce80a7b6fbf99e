"""What the HSM does for phones: key sets, cryptograms under them, sessions, signatures, a PIN moved from token to PAN."""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu import crypto
from shanfu.crypto import PIN, CardAlgorithm, Cipher, P256Key, PinFormat, SessionKey
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import (
    LMK,
    Algorithm,
    ARQCCheck,
    KeyBlock,
    KeyScheme,
    KeySetJob,
    KeyUsage,
    PINCheck,
    PINTranslation,
    PINVerdict,
    SealedPAN,
    SoftHSM,
)
from shanfu.hsm.rules import KEY_RULES
from shanfu.tokens import key_index_bytes
from tests.budget import examples

TDES, SM4, AES, P256 = Algorithm.TDES, Algorithm.SM4, Algorithm.AES, Algorithm.P256
few = settings(max_examples=examples(20, heavy=500), deadline=None)

LMKEY = LMK(bytes(range(32)))
IMK = bytes.fromhex("2315208C9110AD402315208C9110AD40")
TOKEN, OTHER_TOKEN, PAN = "6250940000000019", "6250940000000027", "6209010000000018"
DATA = bytes.fromhex("000000001234000000000000015600000000000156260601001234567800") + bytes(7)
PHONE = P256Key((7).to_bytes(32))
CONTEXT = b"keys/6f/5000100/1"
INDEX = "5000100"


@pytest.fixture
def hsm() -> SoftHSM:
    return SoftHSM(LMKEY)


def known(hsm: SoftHSM, usage: KeyUsage, key: bytes, algorithm: Algorithm = TDES) -> KeyBlock:
    return hsm.form(usage, algorithm, [key, bytes(len(key))])


def job(hsm: SoftHSM, **changes) -> KeySetJob:
    imk = changes.pop("imk", None) or known(hsm, KeyUsage.IMK_AC, IMK)
    fields = {
        "imk": imk, "scheme": KeyScheme.SHANFU_1, "pan": TOKEN, "psn": "00", "index": key_index_bytes(INDEX),
        "atc_first": 11, "atc_last": 20, "wrap_key": PHONE.point, "context": CONTEXT,
    }  # fmt: skip
    return KeySetJob(**fields | changes)


def keys_of(wrapped: bytes, phone: P256Key = PHONE, context: bytes = CONTEXT) -> list[bytes]:
    plain = crypto.unwrap_secret(phone, wrapped, context=context)
    return [plain[at : at + 16] for at in range(0, len(plain), 16)]


def tap(key: bytes, scheme: KeyScheme, atc: int, data: bytes = DATA) -> bytes:
    """The phone's side: the cryptogram of one tap under a key that it unwrapped."""
    return SessionKey(CardAlgorithm.TDES, crypto.cryptogram_key(scheme, key, atc)).cryptogram(data)


def check(hsm: SoftHSM, scheme: KeyScheme, **changes) -> ARQCCheck:
    fields = {
        "imk": known(hsm, KeyUsage.IMK_AC, IMK), "algorithm": TDES, "pan": TOKEN, "psn": "00", "atc": 11, "data": DATA,
        "arqc": bytes(8), "scheme": scheme, "diversifier": key_index_bytes(INDEX),
    }  # fmt: skip
    return ARQCCheck(**fields | changes)


def altered(asked, **changes):
    """The same job with some fields changed."""
    return type(asked)(**{name: getattr(asked, name) for name in type(asked).__annotations__} | changes)


# Key sets


@pytest.mark.parametrize(("scheme", "count"), [(KeyScheme.SHANFU_1, 1), (KeyScheme.VISA_LUK, 1), (KeyScheme.SUK, 10)])
def test_a_phone_pays_with_what_it_was_given(hsm, scheme, count):
    """Derived in one HSM, unwrapped by the phone, verified in another HSM that has the same master key; answered there too."""
    (wrapped,) = hsm.derive_key_sets([job(hsm, scheme=scheme)])
    keys = keys_of(wrapped)
    assert len(keys) == count
    service = SoftHSM(LMK.generate())
    for place, atc in enumerate(range(11, 21)):
        key = keys[place] if scheme is KeyScheme.SUK else keys[0]
        arqc = tap(key, scheme, atc)
        (proof,) = service.verify_arqcs([check(service, scheme, atc=atc, arqc=arqc)])
        (arpc,) = service.make_arpcs([(proof, b"00")])
        assert arpc == SessionKey(CardAlgorithm.TDES, crypto.cryptogram_key(scheme, key, atc)).arpc(arqc, b"00")


def test_the_published_keys_come_out(hsm):  # token_luk vectors luk-c-1, token_suk_session_keys vector suk-3
    luk_job = job(hsm, pan="6250940001234567", index=key_index_bytes("6432109"))
    suk_job = job(hsm, scheme=KeyScheme.SUK, pan="5413339000001513", psn="01", atc_first=1, atc_last=1)
    luk, suk = (keys_of(wrapped)[0].hex().upper() for wrapped in hsm.derive_key_sets([luk_job, suk_job]))
    assert (luk, suk) == ("0B97C8CABFDD50F02EF8D59BAF30DD2F", "9E056BBB6B414CE6E498FC5BCA78D2EA")


def test_one_call_serves_many_phones(hsm):
    imks = [known(hsm, KeyUsage.IMK_AC, IMK), hsm.generate(KeyUsage.IMK_AC, TDES)]
    phones = [P256Key.generate() for _ in range(6)]
    jobs = [
        job(
            hsm,
            imk=imks[at % 2],
            wrap_key=phone.point,
            scheme=list(KeyScheme)[at % 3],
            context=b"%d" % at,
            index=key_index_bytes(f"500010{at}"),
        )
        for at, phone in enumerate(phones)
    ]
    together, alone = hsm.derive_key_sets(jobs), [hsm.derive_key_sets([one])[0] for one in jobs]
    opened = [keys_of(blob, phone, b"%d" % at) for at, (blob, phone) in enumerate(zip(together, phones, strict=True))]
    assert opened == [keys_of(blob, phone, b"%d" % at) for at, (blob, phone) in enumerate(zip(alone, phones, strict=True))]
    assert len({key for keys in opened for key in keys}) == sum(map(len, opened))
    assert hsm.derive_key_sets([]) == []


def test_a_key_set_opens_for_its_device_and_context_only(hsm):
    (wrapped,) = hsm.derive_key_sets([job(hsm)])
    for phone, context in ((P256Key.generate(), CONTEXT), (PHONE, CONTEXT + b"0"), (PHONE, b"")):
        with pytest.raises(IntegrityError):
            keys_of(wrapped, phone, context)


FALSE_JOBS = [
    ("no point", {"wrap_key": bytes(65)}),
    ("a compressed point", {"wrap_key": b"\x02" + PHONE.point[1:33]}),
    ("ATC 0", {"atc_first": 0}),
    ("an ATC too far", {"atc_last": 0x10000}),
    ("backwards", {"atc_first": 21}),
    ("too many keys", {"scheme": KeyScheme.SUK, "atc_first": 1, "atc_last": 1001}),
    ("too long an index", {"index": bytes.fromhex("26643101")}),
    ("no index", {"index": b""}),
    ("no token", {"pan": "x" * 16}),
    ("no PSN", {"psn": ""}),
]


@pytest.mark.parametrize("changes", [pytest.param(changes, id=what) for what, changes in FALSE_JOBS])
def test_a_false_job_refuses_the_batch(hsm, changes):
    with pytest.raises(DecodeError):
        hsm.derive_key_sets([job(hsm), job(hsm, **changes)])


@pytest.mark.parametrize(
    ("usage", "algorithm"),
    [(KeyUsage.IMK_AC, SM4), (KeyUsage.UDK_AC, TDES), (KeyUsage.IMK_MAC, TDES), (KeyUsage.KEK, TDES), (KeyUsage.VAULT, AES)],
)
def test_key_sets_come_from_a_3des_master_key_only(hsm, usage, algorithm):
    key = hsm.generate(usage, algorithm)
    with pytest.raises(KeyUseError):
        hsm.derive_key_sets([job(hsm, imk=key)])
    with pytest.raises(KeyUseError):
        hsm.verify_arqcs([check(hsm, KeyScheme.SHANFU_1, imk=key, algorithm=algorithm)])


# Cryptograms of phones


def phone_check(hsm: SoftHSM, scheme: KeyScheme) -> ARQCCheck:
    (wrapped,) = hsm.derive_key_sets([job(hsm, scheme=scheme)])
    return check(hsm, scheme, arqc=tap(keys_of(wrapped)[0], scheme, 11))


EACH_SCHEME = pytest.mark.parametrize("scheme", list(KeyScheme))


@EACH_SCHEME
def test_a_false_cryptogram_proves_nothing(hsm, scheme):
    good = phone_check(hsm, scheme)
    other_scheme = KeyScheme.SUK if scheme is not KeyScheme.SUK else KeyScheme.SHANFU_1
    changes = [{"pan": OTHER_TOKEN}, {"psn": "01"}, {"data": DATA[:-1]}, {"arqc": bytes(8)}, {"scheme": None}]
    changes += [{"scheme": other_scheme}, {"arqc": b""}]
    if scheme is not KeyScheme.VISA_LUK:
        changes.append({"atc": 12})
    if scheme is not KeyScheme.SUK:
        changes += [{"diversifier": value} for value in (b"", key_index_bytes("5000101"), b"\xff" * 4, b"\x26\x64\x31\x01")]
    proofs = hsm.verify_arqcs([good, *(altered(good, **change) for change in changes), good])
    assert [bool(proof) for proof in proofs] == [True, *(False for _ in changes), True]
    assert len(hsm.make_arpcs([(proofs[0], b"00"), (proofs[-1], b"05")])) == 2


@EACH_SCHEME
@given(st.data())
@few
def test_any_flipped_bit_of_the_data_is_seen(scheme, data):
    hsm = SoftHSM(LMKEY)
    good = phone_check(hsm, scheme)
    at = data.draw(st.integers(0, 8 * len(DATA) - 1))
    changed = bytearray(DATA)
    changed[at // 8] ^= 1 << at % 8
    assert hsm.verify_arqcs([altered(good, data=bytes(changed))]) == [None]


def test_cards_and_phones_in_one_batch(hsm):
    udk = Cipher(crypto.Algorithm.TDES, crypto.udk_option_a(Cipher(crypto.Algorithm.TDES, IMK), PAN, "01"))
    arqc = SessionKey(CardAlgorithm.TDES, crypto.session_key_pboc(udk, 5)).cryptogram(DATA)
    card = altered(check(hsm, KeyScheme.SUK), scheme=None, diversifier=b"", pan=PAN, psn="01", atc=5, arqc=arqc)
    jobs = [card, phone_check(hsm, KeyScheme.SHANFU_1), card, phone_check(hsm, KeyScheme.SUK)]
    assert all(hsm.verify_arqcs(jobs))


# Devices


def test_secrets_are_wrapped_for_each_device(hsm):
    phones = [P256Key.generate() for _ in range(3)]
    items = [(phone.point, b"profile %d" % at, b"context %d" % at) for at, phone in enumerate(phones)]
    for phone, (_, plain, context), wrapped in zip(phones, items, hsm.wrap_for_device(items), strict=True):
        assert crypto.unwrap_secret(phone, wrapped, context=context) == plain
        assert plain not in wrapped
    with pytest.raises(DecodeError, match="number 1 of the batch"):
        hsm.wrap_for_device([items[0], (b"", b"", b"")])


def test_points_are_told_from_other_bytes(hsm):
    points = [PHONE.point, b"", bytes(65), PHONE.point[:-1], PHONE.point[:-1] + bytes([PHONE.point[-1] ^ 1])]
    assert hsm.valid_points(points) == [True, False, False, False, False]


def test_signatures_of_devices(hsm):
    signature = PHONE.sign(b"call")
    jobs = [
        (PHONE.point, b"call", signature), (PHONE.point, b"cal1", signature), (P256Key.generate().point, b"call", signature),
        (PHONE.point, b"call", signature[:-1]), (PHONE.point, b"call", b""), (b"", b"call", signature),
        (PHONE.point, b"call", signature),
    ]  # fmt: skip
    assert hsm.verify_signatures(jobs) == [True, False, False, False, False, False, True]


@given(st.lists(st.binary(max_size=70), min_size=3, max_size=3), st.sampled_from([None, PHONE.point]))
@settings(max_examples=examples(50, heavy=5_000), deadline=None)
def test_whatever_a_device_sends_is_answered(parts, point):
    hsm = SoftHSM(LMKEY)
    sent = point or parts[0]
    assert hsm.verify_signatures([(sent, parts[1], parts[2])]) == [False]
    (valid,) = hsm.valid_points([sent])
    assert valid == (point is not None)
    if not valid:
        with pytest.raises(DecodeError):
            hsm.agree_session(sent, parts[1])


def test_the_hosts_own_signature(hsm):
    key = hsm.generate(KeyUsage.SIGN, P256)
    point, signature = hsm.public_key(key), hsm.sign(key, b"statement")
    crypto.verify_signature(point, b"statement", signature)
    assert SoftHSM(LMKEY).public_key(key) == point
    assert hsm.check_value(key) == hashlib.sha256(point).digest()[:3]
    for wrong in (hsm.generate(KeyUsage.SEAL, AES), known(hsm, KeyUsage.MAK, IMK)):
        for operation in (lambda wrong=wrong: hsm.sign(wrong, b""), lambda wrong=wrong: hsm.public_key(wrong)):
            with pytest.raises(KeyUseError):
                operation()


def test_a_signing_key_is_a_number_of_the_curve(hsm):
    formed = hsm.form(KeyUsage.SIGN, P256, [bytes(31) + b"\x05", bytes(31) + b"\x02"])
    assert hsm.public_key(formed) == PHONE.point
    for parts in ([bytes(32), bytes(32)], [b"\xff" * 32, bytes(32)], [bytes(16), b"\x01" * 16]):
        with pytest.raises(KeyUseError):
            hsm.form(KeyUsage.SIGN, P256, parts)


def test_a_session_is_agreed_with_one_device(hsm):
    ours, key = hsm.agree_session(PHONE.point, b"device-1")
    (sealed,) = hsm.seal(key, [(b"body", b"answer/1")])
    context = crypto.session_context("device-1", phone=PHONE.point, host=ours)
    session = crypto.agreed_session(PHONE, ours, context=context)
    assert session.open(sealed[:12], sealed[12:], aad=b"answer/1") == b"body"
    asked = bytes(12) + session.seal(bytes(12), b"ask", aad=b"ask/2")
    assert hsm.unseal(key, [(asked, b"ask/2")]) == [b"ask"]
    other = crypto.agreed_session(PHONE, ours, context=crypto.session_context("device-2", phone=PHONE.point, host=ours))
    with pytest.raises(IntegrityError):
        other.open(sealed[:12], sealed[12:], aad=b"answer/1")
    again, another_key = hsm.agree_session(PHONE.point, b"device-1")
    assert (again, another_key) != (ours, key)
    with pytest.raises(DecodeError):
        hsm.agree_session(bytes(65), b"device-1")


def test_sessions_are_spoken_in_together(hsm):
    """One call for many devices: each under its own key, and a false one spoils no other."""
    one, other = (hsm.agree_session(PHONE.point, name)[1] for name in (b"d1", b"d2"))
    mine, theirs = hsm.seal_sessions([(one, b"a", b"x"), (other, b"b", b"y")])
    assert hsm.unseal(one, [(mine, b"x")]) == [b"a"]
    jobs = [
        (one, mine, b"x"),
        (other, mine, b"x"),
        (one, mine, b"y"),
        (one, mine[:-1], b"x"),
        (one, b"", b""),
        (other, theirs, b"y"),
    ]
    assert hsm.unseal_sessions(jobs) == [b"a", None, None, None, None, b"b"]
    assert (hsm.seal_sessions([]), hsm.unseal_sessions([])) == ([], [])


def test_what_is_sealed_is_plain_gcm(hsm):
    """Phones and peers open it with AES-256-GCM of their own: 12 bytes of nonce, the ciphertext, 16 of tag."""
    secret = bytes(range(32))
    for usage in (KeyUsage.SEAL, KeyUsage.VAULT, KeyUsage.SESSION):
        key = known(hsm, usage, secret, AES)
        (sealed,) = hsm.seal(key, [(PAN.encode(), b"pan/77")])
        assert len(sealed) == 12 + len(PAN) + 16
        assert AESGCM(secret).decrypt(sealed[:12], sealed[12:], b"pan/77") == PAN.encode()


# Keys that two parties share


@pytest.mark.parametrize("usage", [KeyUsage.IMK_AC, KeyUsage.VAULT])
def test_a_key_made_to_be_shared_travels_and_stays(hsm, usage):
    other, parts = SoftHSM(LMK.generate()), [bytes(range(32)), b"\x77" * 32]
    here, there = (box.form(KeyUsage.KBPK, AES, parts) for box in (hsm, other))
    for algorithm in KEY_RULES[usage].algorithms:
        key = hsm.generate(usage, algorithm, exportable=True)
        taken = other.import_block(hsm.export_block(key, here), there)
        assert other.check_value(taken) == hsm.check_value(key)
        with pytest.raises(KeyUseError, match="not exportable"):
            other.export_block(taken, there)
        with pytest.raises(KeyUseError, match="not exportable"):
            hsm.export_block(hsm.generate(usage, algorithm), here)


@pytest.mark.parametrize("usage", [usage for usage, rule in KEY_RULES.items() if not rule.shareable])
def test_what_one_party_has_is_never_made_to_be_shared(hsm, usage):
    for algorithm in KEY_RULES[usage].algorithms:
        with pytest.raises(KeyUseError, match="never leaves"):
            hsm.generate(usage, algorithm, exportable=True)


def test_which_keys_may_be_shared():
    shareable = {usage.name for usage, rule in KEY_RULES.items() if rule.shareable}
    assert shareable == {"IMK_AC", "KEK", "MAK", "PIK", "VAULT"}


# A PIN moved from the token to the PAN behind it


PIK, NEXT_PIK = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"), bytes.fromhex("11223344556677880123456789ABCDEF")


def block_for(number: str, key: bytes = PIK) -> bytes:
    return crypto.encipher_pin(Cipher(crypto.Algorithm.TDES, key), PinFormat.ISO0, PIN("123456"), pan=number)


def translation(hsm: SoftHSM, vault: KeyBlock, record: bytes, **changes) -> PINTranslation:
    fields = {
        "block": block_for(TOKEN), "from_key": known(hsm, KeyUsage.PIK, PIK), "to_key": known(hsm, KeyUsage.PIK, NEXT_PIK),
        "pan": TOKEN, "account": SealedPAN(key=vault, sealed=record),
    }  # fmt: skip
    return PINTranslation(**fields | changes)


def test_a_pin_moves_to_the_pan_behind_the_token(hsm):
    vault = hsm.generate(KeyUsage.VAULT, AES)
    (record,) = hsm.seal(vault, [(PAN.encode(), b"token/" + TOKEN.encode())])
    (block,) = hsm.translate_pins([translation(hsm, vault, record)])
    assert block == block_for(PAN, NEXT_PIK)
    pvk, pik = known(hsm, KeyUsage.PVK, IMK), known(hsm, KeyUsage.PIK, NEXT_PIK)
    pvv = hsm.make_pvv(PINCheck(block=block, key=pik, pan=PAN, pvk=pvk, pvv=""))
    issuers = [PINCheck(block=block, key=pik, pan=number, pvk=pvk, pvv=pvv) for number in (PAN, TOKEN)]
    assert hsm.verify_pins(issuers) == [PINVerdict.RIGHT, PINVerdict.UNREADABLE]


def test_every_fault_of_a_token_pin_has_the_one_answer(hsm):
    """A record of another token, a spoiled one, one that holds no PAN, a wrong PIN block: nobody can tell which it was."""
    vault, other_vault = (hsm.generate(KeyUsage.VAULT, AES) for _ in range(2))
    mine, others, no_pan, no_text, short = hsm.seal(vault, [
        (PAN.encode(), b"token/" + TOKEN.encode()), (PAN.encode(), b"token/" + OTHER_TOKEN.encode()),
        (b"not a number", b"token/" + TOKEN.encode()), (b"\xff\xfe", b"token/" + TOKEN.encode()),
        (b"1", b"token/" + TOKEN.encode()),
    ])  # fmt: skip
    good = translation(hsm, vault, mine)
    bad = [
        translation(hsm, vault, others), translation(hsm, vault, no_pan), translation(hsm, vault, no_text),
        translation(hsm, vault, short), translation(hsm, vault, b""), translation(hsm, vault, mine[:-1]),
        translation(hsm, vault, mine[:-1] + bytes([mine[-1] ^ 1])), translation(hsm, other_vault, mine),
        altered(good, block=block_for(PAN)), altered(good, block=bytes(8)), altered(good, block=b""),
        altered(good, pan=OTHER_TOKEN), altered(good, pan=PAN),
    ]  # fmt: skip
    first, *faults, last = hsm.translate_pins([good, *bad, good])
    assert first == last == block_for(PAN, NEXT_PIK)
    assert faults == [None] * len(bad)


def test_a_record_opens_with_a_vault_key_only(hsm):
    seal = hsm.generate(KeyUsage.SEAL, AES)
    (record,) = hsm.seal(seal, [(PAN.encode(), b"token/" + TOKEN.encode())])
    with pytest.raises(KeyUseError):
        hsm.translate_pins([translation(hsm, seal, record)])


def test_nothing_shows_a_number(hsm):
    vault = hsm.generate(KeyUsage.VAULT, AES)
    (record,) = hsm.seal(vault, [(PAN.encode(), b"token/" + TOKEN.encode())])
    shown = repr([translation(hsm, vault, record), SealedPAN(key=vault, sealed=record), job(hsm), check(hsm, KeyScheme.SUK)])
    assert not any(number in shown for number in (PAN, TOKEN, record.hex(), repr(record)[2:-1]))
