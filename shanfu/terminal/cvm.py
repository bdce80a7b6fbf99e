"""How the cardholder is verified in a contactless payment: the card's wishes (CTQ) against the terminal's abilities (TTQ).

The order of preference is one table: verified on the device, then online PIN, then signature. That a device's own
verification goes first is unverified for this kernel; whether a phone shows it at all is its issuer's policy, so the
PIN at the POS stays the usual case. `choose_cvm` is the only place of that choice.

Who calls: the kernel. Sources: JR/T 0025.12 7.6 and 7.8; precedence of CDCVM by EMV CL C-3.
"""

from shanfu.emv import CTQ, CVM, TTQ

__all__ = ["choose_cvm"]

# fmt: off
_PREFERENCE = (  # what the card asks,        what the terminal must have, the method
    (CTQ.CDCVM_PERFORMED,      None,            CVM.CDCVM),
    (CTQ.ONLINE_PIN_REQUIRED,  TTQ.ONLINE_PIN,  CVM.ONLINE_PIN),
    (CTQ.SIGNATURE_REQUIRED,   TTQ.SIGNATURE,   CVM.SIGNATURE),
)
# fmt: on


def choose_cvm(ttq: TTQ, ctq: CTQ | None) -> CVM | None:
    """Return the method for this transaction, `CVM.NONE` for none, or None when one is required and none is shared.

    >>> choose_cvm(TTQ.parse(bytes.fromhex("36C00080")), CTQ.parse(bytes.fromhex("C000"))).name
    'ONLINE_PIN'
    """
    required = TTQ.CVM_REQUIRED in ttq
    if ctq is None:  # JR/T 0025.12 7.6: without CTQ only a signature can meet a required CVM
        unasked = CVM.SIGNATURE if TTQ.SIGNATURE in ttq else None
        return unasked if required else CVM.NONE
    for asked, ability, method in _PREFERENCE:
        if asked in ctq and (ability is None or ability in ttq):
            return method
    return None if required else CVM.NONE
