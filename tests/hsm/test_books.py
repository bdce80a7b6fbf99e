"""Sealed fields and keyed look-ups."""

import pytest

from shanfu.errors import IntegrityError
from shanfu.hsm import (
    KeyUsage,
    SoftHSM,
)
from tests.hsm.box import (
    AES,
    HMAC,
    LMKEY,
)


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
