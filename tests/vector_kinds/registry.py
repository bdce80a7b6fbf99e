"""The table of kinds. `@kind(name, takes, gives)`: names separated by spaces, inputs and outputs of tests/vectors/README.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shanfu.errors import ShanfuError

Values = dict[str, Any]


def fault_of(error: ShanfuError) -> str:
    """The vectors' class of a refusal: by default the fault of a DecodeError, or the error's own name."""
    return str(getattr(error, "fault", type(error).__name__))


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorKind:
    """`run(inputs, case)` returns the outputs by name; a field may be both input and output (a way back)."""

    takes: frozenset[str]
    gives: frozenset[str]
    function: Callable[[Values], Values]
    error_class: Callable[[ShanfuError], str]

    @property
    def fields(self) -> frozenset[str]:
        return self.takes | self.gives

    def run(self, inputs: Values, case: Values) -> Values:
        return self.function(inputs)


KINDS: dict[str, VectorKind] = {}


def kind(
    name: str, takes: str, gives: str = "", error_class: Callable[[ShanfuError], str] = fault_of
) -> Callable[[Callable[[Values], Values]], Callable[[Values], Values]]:
    def register(function: Callable[[Values], Values]) -> Callable[[Values], Values]:
        assert name not in KINDS, f"{name} registered twice"
        KINDS[name] = VectorKind(
            takes=frozenset(takes.split()), gives=frozenset(gives.split()), function=function, error_class=error_class
        )
        return function

    return register


ELEMENT = "the secure element and its trusted service managers"
ONLINE = "online payment with the wallet's card"
KEYS = "key blocks of every version and DUKPT, for the hardware HSM"

NOT_YET: dict[str, str] = {
    **dict.fromkeys(("dukpt_tdes", "dukpt_tdes_derived_key", "dukpt_tdes_data_key_request", "dukpt_aes_pin_key",
                     "dukpt_aes_ik", "dukpt_aes_working_key", "tr31_unwrap", "tr31_wrap"), KEYS),
    **dict.fromkeys(("gp_diversify", "gp_kcv", "scp02_session_key", "scp03_session_key", "key_encryption",
                     "store_data_keys", "dm_token_signature_input", "scp02_session", "scp03_session"), ELEMENT),
    **dict.fromkeys(("apple_pay_token", "google_pay_token", "mdes_encrypted_payload", "ucaf19_decode"), ONLINE),
}  # fmt: skip
