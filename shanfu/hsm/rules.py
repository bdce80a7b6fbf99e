"""What each key may be: its ciphers, its lengths, and whether it may leave the HSM, one row a usage.

`KeyUsage` says what a key does; this table says what may bear that usage. The HSM asks it whenever a key is made, formed
or taken in, so a block with another combination never comes into being. Sources: ANSI X9.143 tables 2 to 5, PCI PIN 18
(a key has one purpose), ISO 11568-2 (no key under a weaker one).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shanfu.crypto import KeyHeader
from shanfu.errors import KeyUseError
from shanfu.hsm.jobs import Algorithm, KeyUsage

__all__ = [
    "CARD_KEY_USAGE", "CARD_PAIR", "KEY_RULES", "NEW_KEY_BYTES", "KeyRule", "algorithm_of", "header_for", "require_algorithm",
    "require_rule", "require_shareable", "strong_enough", "usage_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """The ciphers a usage may have, and the exportability of a key that is made here."""

    algorithms: frozenset[Algorithm]
    exportability: str  # X9.143 table 5: E under a trusted key, N never
    shareable: bool  # may be made exportable if who makes it asks for that


def _row(*algorithms: Algorithm, exportability: str = "N", shareable: bool = False) -> KeyRule:
    shareable = shareable or exportability == "E"
    return KeyRule(algorithms=frozenset(algorithms), exportability=exportability, shareable=shareable)


AES, HMAC, P256, SM4, TDES = Algorithm.AES, Algorithm.HMAC, Algorithm.P256, Algorithm.SM4, Algorithm.TDES
RSA, SM2 = Algorithm.RSA, Algorithm.SM2

# fmt: off
KEY_RULES: Final[Mapping[KeyUsage, KeyRule]] = MappingProxyType({
    KeyUsage.CA_PAIR: _row(RSA, SM2),                           # X9.143 table 2, S1
    KeyUsage.CVK:     _row(TDES),                               # X9.143 table 2, C0
    KeyUsage.IMK_AC:  _row(SM4, TDES, shareable=True),          # X9.143 table 2, E0: ECB access would equal all card keys
    KeyUsage.IMK_ENC: _row(SM4, TDES),                          # X9.143 table 2, E1
    KeyUsage.IMK_MAC: _row(SM4, TDES),                          # X9.143 table 2, E2
    KeyUsage.ISSUER_PAIR: _row(RSA, SM2),                       # X9.143 table 2, S2: outside of X9.24, hence not S0
    KeyUsage.KBPK:    _row(AES),                                # X9.143 table 2, K1: version D takes AES
    KeyUsage.KEK:     _row(AES, SM4, TDES, exportability="E"),  # X9.143 table 2, K0: a terminal master key travels once
    KeyUsage.LOOKUP:  _row(HMAC),                               # proprietary
    KeyUsage.MAK:     _row(SM4, TDES, exportability="E"),       # X9.143 table 2, M3
    KeyUsage.PIK:     _row(SM4, TDES, exportability="E"),       # X9.143 table 2, P0
    KeyUsage.PVK:     _row(TDES),                               # X9.143 table 2, V2
    KeyUsage.SEAL:    _row(AES),                                # proprietary
    KeyUsage.SESSION: _row(AES),                                # proprietary: of one session, between two, agreed and not sent
    KeyUsage.SIGN:    _row(P256),                               # X9.143 table 2, S0
    KeyUsage.UDK_AC:  _row(SM4, TDES),                          # X9.143 table 2, E6
    KeyUsage.UDK_ENC: _row(SM4, TDES),                          # X9.143 table 2, E1
    KeyUsage.UDK_MAC: _row(SM4, TDES),                          # X9.143 table 2, E2
    KeyUsage.VAULT:   _row(AES, shareable=True),                # proprietary: shared by the two who name accounts to each other
})

NEW_KEY_BYTES: Final[Mapping[Algorithm, int]] = MappingProxyType({AES: 32, HMAC: 32, SM4: 16, TDES: 16})  # pairs: pairs.py

KEY_BYTES: Final[Mapping[Algorithm, frozenset[int]]] = MappingProxyType({  # RSA: whatever its numbers need
    AES:  frozenset({16, 24, 32}),
    HMAC: frozenset({32}),
    P256: frozenset({32}),
    SM2:  frozenset({32}),
    SM4:  frozenset({16}),
    TDES: frozenset({16, 24}),   # single DES for one usage only, below
})

# A card's own key, by the master key it comes from; inside an HSM those of laboratory cards have a use
CARD_KEY_USAGE: Final[Mapping[KeyUsage, tuple[str, str]]] = MappingProxyType({
    KeyUsage.IMK_AC:  KeyUsage.UDK_AC.value,
    KeyUsage.IMK_ENC: KeyUsage.UDK_ENC.value,
    KeyUsage.IMK_MAC: KeyUsage.UDK_MAC.value,
})

CARD_PAIR: Final = ("S2", "T")  # a card's own pair on its way to personalisation; no HSM of ours works with it
# fmt: on

_BY_HEADER: Final = MappingProxyType({usage.value: usage for usage in KeyUsage})
_STRENGTH: Final = MappingProxyType({TDES: 0, SM4: 1, AES: 1, HMAC: 1, P256: 1, RSA: 1, SM2: 1})


def usage_of(header: KeyHeader) -> KeyUsage:
    """Return the usage of a header; `KeyUseError` for usage and mode that no key of ours has together."""
    usage = _BY_HEADER.get((header.usage, header.mode))
    if usage is None:
        raise KeyUseError(f"key block: usage {header.usage} with mode {header.mode} is none that this HSM works with")
    return usage


def algorithm_of(header: KeyHeader) -> Algorithm:
    """Return the cipher of a header; `KeyUseError` for a letter that no key of ours has."""
    try:
        return Algorithm(header.algorithm)
    except ValueError:
        raise KeyUseError(f"key block: algorithm {header.algorithm!r} is none that this HSM works with") from None


def require_rule(usage: KeyUsage, algorithm: Algorithm, size: int) -> None:
    """Refuse a key whose cipher or length its usage does not allow."""
    require_algorithm(usage, algorithm)
    # UnionPay terminals of the oldest kind MAC with single DES; PINs and keys are never protected by it
    single_des = algorithm is TDES and size == 8 and usage is KeyUsage.MAK
    if algorithm is not RSA and size not in KEY_BYTES[algorithm] and not single_des:
        raise KeyUseError(f"{usage.name}: {size} bytes, {algorithm.name} has one of {sorted(KEY_BYTES[algorithm])}")


def require_algorithm(usage: KeyUsage, algorithm: Algorithm) -> None:
    """Refuse a cipher that its usage does not allow."""
    if algorithm not in KEY_RULES[usage].algorithms:
        raise KeyUseError(f"{usage.name}: a key of {algorithm.name} cannot have this usage (X9.143 table 2)")


def strong_enough(wrapping: Algorithm, wrapped: Algorithm) -> None:
    """Refuse to put a key under a weaker one (ISO 11568-2)."""
    if _STRENGTH[wrapping] < _STRENGTH[wrapped]:
        raise KeyUseError(f"{wrapped.name} key: may not travel under a {wrapping.name} key, which is weaker (ISO 11568-2)")


def require_shareable(usage: KeyUsage) -> None:
    """Refuse to make an exportable key of a usage that only one party has."""
    if not KEY_RULES[usage].shareable:
        raise KeyUseError(f"{usage.name}: a key of this usage never leaves its HSM, it cannot be made exportable")


def header_for(usage: KeyUsage, algorithm: Algorithm, *, exportability: str | None = None) -> KeyHeader:
    """Return the header of a key of this usage; made keys take the exportability of their row."""
    name, mode = usage.value
    return KeyHeader(
        usage=name,
        algorithm=algorithm.value,
        mode=mode,
        exportability=exportability or KEY_RULES[usage].exportability,
    )
