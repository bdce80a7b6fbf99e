"""MACs of messages: the published ones, and keys of another cipher refused."""

import pytest

from shanfu.errors import KeyUseError
from shanfu.hsm import (
    KeyUsage,
    MACAlgorithm,
    MACJob,
)
from tests.hsm.box import (
    KEY,
    SM4,
    TDES,
    known,
)

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
