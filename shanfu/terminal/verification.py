"""Cardholder verification in the slot: the card's list of methods, rule by rule, until one is done.

A rule is a method and a condition; when a method fails, its b7 says whether the next rule may be tried. The PIN is typed on the
PIN pad and goes from there, as a block or enciphered under the card's key, to the card, or under the working key to the
issuer. What came of it stands in the CVM results (9F34) and in byte 3 of the TVR.

Who calls: `contact.py`; `ask_online_pin` also the wave and the swipe. Sources: EMV B3 10.5 and C3, EMV B4 6.3.4 and A4,
EMV B2 7.2 (enciphered PIN). Showing an identity document (JR/T 0025.5) has no key on this terminal: it counts as not supported.
"""

from shanfu.dialogue import Ask, Dialogue
from shanfu.emv import AIP, CVM, TSI, TVR, CVMList, CVMResults, CVMRule, commands
from shanfu.errors import DecodeError
from shanfu.iso7816 import ResponseAPDU, StatusWord, parse_flat, tries_left
from shanfu.money import Money
from shanfu.terminal.chip import Chip
from shanfu.terminal.desk import PIN_PAD, Desk
from shanfu.terminal.endings import Ending
from shanfu.terminal.outcome import Outcome, Reason, UIMessage
from shanfu.terminal.pin_pad import EnterOfflinePIN, EnterPIN, OfflinePINEntered, PINCancelled, PINEntered

__all__ = ["ask_online_pin", "verify_cardholder"]

FAIL, PLAIN, ONLINE, PLAIN_SIGN, ENCIPHERED, ENCIPHERED_SIGN, DOCUMENT, SIGNATURE, NONE = (
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0x1E, 0x1F,
)  # EMV B3 C3; 20 JR/T 0025.5  # fmt: skip
UNKNOWN, FAILED, DONE = 0, 1, 2  # byte 3 of 9F34 (EMV B4 A4)
NOTHING_FITS = bytes.fromhex("3F0001")  # EMV B4 6.3.4.5: no rule's condition was satisfied

# fmt: off
ABILITY = {  # method: bit of 9F33 byte 2 (EMV B4 A2)
    PLAIN:           0x80,
    ONLINE:          0x40,
    SIGNATURE:       0x20,
    PLAIN_SIGN:      0x80 | 0x20,
    ENCIPHERED:      0x10,
    ENCIPHERED_SIGN: 0x10 | 0x20,
    NONE:            0x08,
}
PIN_METHODS = frozenset({PLAIN, ONLINE, PLAIN_SIGN, ENCIPHERED, ENCIPHERED_SIGN})
ENCIPHERED_METHODS = frozenset({ENCIPHERED, ENCIPHERED_SIGN})
KNOWN = frozenset({FAIL, DOCUMENT, *ABILITY})

# fmt: on


def verify_cardholder(chip: Chip) -> Dialogue[Ending | None]:
    """Work through the card's list (EMV B3 10.5); an Ending only when the cardholder cancels or the PIN pad cannot."""
    if AIP.CARDHOLDER_VERIFICATION not in AIP.parse(chip.card[0x82]):
        return None
    rules = CVMList.parse(chip.card[0x8E]) if chip.card.get(0x8E) else CVMList()
    if not rules.rules:  # EMV B4 6.3.4.5: 3F0000 stays, and the issuer learns why
        chip.tvr |= TVR.ICC_DATA_MISSING
        return None
    chip.cvm_results = NOTHING_FITS
    for rule in rules.rules:
        if not _fits(chip, rules, rule):
            continue
        result = yield from _perform(chip, rule)
        if isinstance(result, Ending):
            return result
        chip.cvm_results = bytes(CVMResults(code=rule.code, condition=rule.condition, result=result))
        if result != FAILED:
            break
        if not rule.next_if_fails or rule.method == FAIL:
            chip.tvr |= TVR.CVM_FAILED
            break
    else:
        chip.tvr |= TVR.CVM_FAILED
    chip.tsi |= TSI.CVM_PERFORMED
    return None


def _fits(chip: Chip, rules: CVMList, rule: CVMRule) -> bool:
    """Whether a rule is for this purchase (EMV B3 C3); cash, cashback and what nobody knows are not."""
    amount, own = chip.amount.minor, chip.card.get(0x9F42) == chip.values[0x5F2A]
    match rule.condition:
        case 0x00 | 0x02:  # always; neither cash nor cashback
            return True
        case 0x03:
            return _supported(chip, rule.method)
        case 0x06 | 0x07:  # in the application's currency, under or over X
            return own and (amount < rules.x if rule.condition == 0x06 else amount > rules.x)
        case 0x08 | 0x09:
            return own and (amount < rules.y if rule.condition == 0x08 else amount > rules.y)
    return False


def _perform(chip: Chip, rule: CVMRule) -> Dialogue[int | Ending]:
    """Carry out one method; return its result for 9F34."""
    method = rule.method
    if method not in KNOWN:
        chip.tvr |= TVR.UNKNOWN_CVM
    if method == FAIL or method not in KNOWN:
        return FAILED
    if not _supported(chip, method):
        if method in PIN_METHODS:  # EMV B3 10.5.1: a PIN is wanted and the terminal cannot take it
            chip.tvr |= TVR.PIN_PAD_MISSING
        return FAILED
    if method == ONLINE:
        return (yield from _online(chip))
    if method in PIN_METHODS:
        result = yield from _by_the_card(chip, enciphered=method in ENCIPHERED_METHODS)
        if result == DONE and method in (PLAIN_SIGN, ENCIPHERED_SIGN):
            chip.cvm = CVM.SIGNATURE
            return UNKNOWN  # EMV B4 A4: of two methods, one is not known yet
        return result
    chip.cvm = CVM.SIGNATURE if method == SIGNATURE else CVM.NONE
    return UNKNOWN if method == SIGNATURE else DONE


def _online(chip: Chip) -> Dialogue[int | Ending]:
    """The issuer will verify the PIN: the result is not known here (EMV B3 10.5.2)."""
    block = yield from ask_online_pin(chip.desk, chip.pan, chip.amount)
    if isinstance(block, Reason):
        return _no_pin(block)
    chip.pin_block, chip.cvm = block, CVM.ONLINE_PIN
    chip.tvr |= TVR.ONLINE_PIN_ENTERED
    return UNKNOWN


def _by_the_card(chip: Chip, *, enciphered: bool) -> Dialogue[int | Ending]:
    """Have the card verify the PIN, as often as it lets the cardholder try (EMV B3 10.5.1)."""
    if (yield from _tries(chip)) == 0:
        chip.tvr |= TVR.PIN_TRIES_EXCEEDED
        return FAILED
    message = UIMessage.ENTER_PIN
    while True:
        answer = yield from _verify(chip, message, enciphered=enciphered)
        if isinstance(answer, int | Ending):
            return answer
        if answer.ok:
            chip.card_checked_pin = True
            return DONE
        left = tries_left(answer.sw)
        if not left:
            if left == 0 or answer.sw in (StatusWord.PIN_BLOCKED, StatusWord.DATA_INVALIDATED):
                chip.tvr |= TVR.PIN_TRIES_EXCEEDED
            return FAILED
        message = UIMessage.INCORRECT_PIN


def _verify(chip: Chip, message: UIMessage, *, enciphered: bool) -> Dialogue[ResponseAPDU | int | Ending]:
    """Ask for the PIN once and give it to the card."""
    key, challenge = None, b""
    if enciphered:
        key = chip.chain.key if chip.chain else None
        answer = yield from chip.ask("GET CHALLENGE", commands.get_challenge())
        challenge = answer.data
        if key is None or not answer.ok or len(challenge) != 8:  # EMV B2 7.2: without either the method has failed
            return FAILED
    chip.desk.show(message)
    reply = yield Ask(PIN_PAD, EnterOfflinePIN(prompt=f"{chip.amount} {message.en}", key=key, challenge=challenge))
    if not isinstance(reply, OfflinePINEntered):
        return _no_pin(Reason.PIN_CANCELLED if isinstance(reply, PINCancelled) else Reason.PIN_PAD_FAULT)
    return (yield from chip.ask("VERIFY", commands.verify_pin(reply.data, enciphered=enciphered)))


def _tries(chip: Chip) -> Dialogue[int | None]:
    """The PIN try counter, if the card tells it (EMV B3 10.5.1: a terminal may ask)."""
    answer = yield from chip.ask("GET DATA of the PIN try counter", commands.get_data(0x9F17))
    try:
        value = parse_flat(answer.data).get(0x9F17) if answer.ok else None
    except DecodeError:
        return None
    return value[0] if value else None


def ask_online_pin(desk: Desk, pan: str, amount: Money) -> Dialogue[bytes | Reason]:
    """Have the cardholder type a PIN for the issuer; return its block under the working key, or why there is none."""
    desk.show(UIMessage.ENTER_PIN)
    prompt = f"{amount} {UIMessage.ENTER_PIN.en}" if amount.minor else UIMessage.ENTER_PIN.en
    reply = yield Ask(PIN_PAD, EnterPIN(prompt=prompt, pan=pan))
    if isinstance(reply, PINEntered):
        return reply.block
    if isinstance(reply, PINCancelled):
        return Reason.PIN_CANCELLED
    yield from desk.journal.keep_state(signed_in=False)
    return Reason.PIN_PAD_FAULT


def _no_pin(reason: Reason) -> Ending:
    return Ending(outcome=Outcome.DECLINED, reason=reason)


def _supported(chip: Chip, method: int) -> bool:
    """EMV B4 A2; online PIN only where the acquirer takes it (DF18). "Fail" needs no ability."""
    if method == FAIL:
        return True
    needed = ABILITY.get(method)
    able = needed is not None and chip.values[0x9F33][1] & needed == needed
    return able and (method != ONLINE or chip.application.limits.online_pin)
