"""What each kind of test vector takes, gives and runs; one module a standard, filled by the `@kind` decorator."""

from tests.vector_kinds import (  # noqa: F401  (registering is their effect)
    card,
    crypto,
    emv,
    iso8583,
    oda,
    sm2,
    terminal,
    token_keys,
    token_lives,
    token_payments,
)
from tests.vector_kinds.registry import KINDS, NOT_YET, VectorKind

__all__ = ["KINDS", "NOT_YET", "VectorKind"]
