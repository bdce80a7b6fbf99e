"""Vector kinds of SM2: signatures, encryption and key exchange with the random numbers of the case."""

from shanfu.crypto import SM2PrivateKey, exchange_key
from tests.vector_kinds.crypto import raw, up
from tests.vector_kinds.registry import Values, kind


@kind("sm2_sign", "private_key user_id message k", "public_key za r s")
def _(v: Values) -> Values:
    key, user = SM2PrivateKey(raw(v["private_key"])), raw(v["user_id"])
    signature = key.sign(raw(v["message"]), user, nonce=raw(v["k"]))
    key.public.verify(raw(v["message"]), signature, user)
    key.public.verify(raw(v["message"]), key.sign(raw(v["message"]), user), user)
    return {
        "public_key": up(key.public.point),
        "za": up(key.public.za(user)),
        "r": up(signature[:32]),
        "s": up(signature[32:]),
    }


@kind("sm2_encrypt", "private_key message k", "c1 c3 c2 c1c3c2")
def _(v: Values) -> Values:
    key, message = SM2PrivateKey(raw(v["private_key"])), raw(v["message"])
    sealed = key.public.encrypt(message, nonce=raw(v["k"]))
    c1, c3, c2 = sealed[:65], sealed[65:97], sealed[97:]
    assert key.decrypt(sealed) == key.decrypt(c1 + c2 + c3, c3_last=True) == message
    return {"c1": up(c1), "c3": up(c3), "c2": up(c2), "c1c3c2": up(sealed)}


@kind("sm2_key_exchange", "d_a d_b r_a r_b user_id_a user_id_b klen_bytes", "key")
def _(v: Values) -> Values:
    a, ra, b, rb = (SM2PrivateKey(raw(v[name])) for name in ("d_a", "r_a", "d_b", "r_b"))
    users, length = (raw(v["user_id_a"]), raw(v["user_id_b"])), v["klen_bytes"]
    one = exchange_key((a, ra), (b.public, rb.public), initiator=True, length=length, user_ids=users)
    other = exchange_key((b, rb), (a.public, ra.public), initiator=False, length=length, user_ids=users)
    assert one == other
    return {"key": up(one)}
