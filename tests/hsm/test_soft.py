"""SoftHSM as a whole: it is an HSM, keeps a bounded number of keys, mixes no threads up and tells nothing."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanfu import crypto
from shanfu.crypto import PIN, Cipher
from shanfu.errors import DecodeError, IntegrityError, KeyUseError
from shanfu.hsm import (
    HSM,
    KeyUsage,
    MACAlgorithm,
    MACJob,
    PINCheck,
    Proof,
    SoftHSM,
)
from shanfu.hsm import bench as bench_module
from shanfu.hsm.bench import Bench
from shanfu.hsm.pins import FORMATS
from tests.budget import examples
from tests.hsm.box import (
    ALLOWED,
    ARPC,
    HMAC,
    ISO_0,
    ISO_1,
    ISO_3,
    KEY,
    LMKEY,
    NO_PAN,
    P256,
    PAN,
    RSA,
    SM2,
    SM4_X98,
    TDES,
    arqc_check,
    known,
    translation,
)


def test_it_is_an_hsm(hsm):
    door: HSM = hsm  # mypy would say so; here at least every name is there
    assert all(callable(getattr(door, name)) for name in vars(HSM) if not name.startswith("_"))


@pytest.mark.parametrize(
    ("source", "target"),
    [(ISO_0, ISO_0), (ISO_0, ISO_3), (ISO_3, ISO_0), (ISO_1, ISO_0), (ISO_1, ISO_3), (NO_PAN, ISO_0), (ISO_0, SM4_X98),
     (SM4_X98, SM4_X98), (ISO_1, ISO_1), (NO_PAN, NO_PAN)],
)  # fmt: skip
def test_translated_blocks_hold_the_same_pin(hsm, source, target):
    (block,) = hsm.translate_pins([translation(hsm, source, target)])
    form = FORMATS[target]
    assert crypto.decipher_pin(Cipher(form.cipher, KEY[::-1]), form, block, pan=PAN) == PIN("123456")


def test_random_is_bounded(hsm):
    assert len(hsm.random(16)) == 16
    assert hsm.random(16) != hsm.random(16)
    for length in (0, -1, 1025):
        with pytest.raises(DecodeError):
            hsm.random(length)


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


@given(st.sampled_from([(usage, algorithm) for usage, algorithm in ALLOWED if algorithm is not RSA]))  # test_pairs
@settings(max_examples=examples(20, heavy=200), deadline=None)
def test_nothing_shows_a_key_or_a_pin(pair):
    usage, algorithm = pair
    hsm = SoftHSM(LMKEY)
    size = 32 if algorithm in (HMAC, P256, SM2) else 16
    key = b"\xc3\x51" * (size // 2)
    block = known(hsm, usage, key, algorithm)
    opened = Bench(LMKEY).any_use(block)
    told = [repr(hsm), repr(opened), repr(LMKEY), repr(Proof(key))]
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
    assert "7351" not in shown  # the block is long and random: four digits may stand in it by chance
    for secret in (key.hex(), key.hex().upper(), repr(key)[2:-1], LMKEY.key.hex(), PAN):
        assert secret not in shown + block
