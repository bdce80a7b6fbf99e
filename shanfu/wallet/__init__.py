"""The phone of Cloud QuickPass: a bank card as a token in the bank's app, waved like a card, paying without a network.

In the world this is any Android phone with NFC. A terminal asks it what it asks a card; its holder asks it through the bank's
app; it asks one peer alone, the key cloud of its bank. It keeps limited-use keys, spends one for each tap before anything
leaves, and says in a sentence why it does not pay. It never learns the number of the card behind a token.

    phone = Phone(memory, DeviceKeyStore(other_memory), model=Model(name="Lin's phone"), clock=clock, cloud=ask_cloud)
    app = phone.app("example.lantern")
    phone.do(app.enrol())                                  # or shanfu.dialogue.run(app.enrol(), {"cloud": phone.ask}, memory)
    offer = phone.do(app.login("lin", password)).cards[0]
    added = phone.do(app.add_card(offer.card))             # Added, or Refused with a sentence
    phone.do(app.choose_idv(added.view.token, IDVMethod.SMS))
    phone.do(app.submit_code(added.view.token, IDVMethod.SMS, code))       # the card can pay now
    phone.online(False)
    reader.present(phone.tap_target)                       # a terminal takes it as it takes a shanfu.card.Card
    reader.remove()                                        # out of the field again: after a tap keys may be fetched (`eager`)
    phone.online(); phone.do(app.open())                   # a dead token wakes when the app is opened
    for card in app.cards(): print(card.token_last4, card.pan_last4, card.uses_left, card.why_not)

`memory` is the phone's folder, `other_memory` the key store that is not copied with it. What the screen showed is in
`phone.shown`. Whoever wants another pace than `phone.do` (a simulator, asyncio) drives the same dialogues himself.

Files in reading order: reasons (the sentences), state (what is kept), keystore and storage (how), handset (what all parts
share), keyring (a use is spent), profile and hce (the card that a terminal sees), session (speaking with the cloud), refresh
(how tokens live), bank_app (what a person can do), phone (what happens to it).
"""

from shanfu.wallet.bank_app import Added, BankApp, CardLine
from shanfu.wallet.handset import Handset, Model, Shown, no_attestation
from shanfu.wallet.hce import HostCard
from shanfu.wallet.keyring import PhoneKeyRing, runs_low, why_not
from shanfu.wallet.keystore import DeviceKeyStore, KeyStore
from shanfu.wallet.phone import Phone
from shanfu.wallet.profile import application_of, card_profile
from shanfu.wallet.reasons import Reason, Refused
from shanfu.wallet.refresh import POLICIES, Refreshed, Trigger
from shanfu.wallet.session import CLOUD
from shanfu.wallet.state import AppState, HeldKeys, HeldToken, PhoneState, Screen, Switches
from shanfu.wallet.storage import Storage, Tampered

__all__ = [
    "CLOUD", "POLICIES", "Added", "AppState", "BankApp", "CardLine", "DeviceKeyStore", "Handset", "HeldKeys", "HeldToken",
    "HostCard", "KeyStore", "Model", "Phone", "PhoneKeyRing", "PhoneState", "Reason", "Refreshed", "Refused", "Screen",
    "Shown", "Storage", "Switches", "Tampered", "Trigger", "application_of", "card_profile", "no_attestation", "runs_low",
    "why_not",
]  # fmt: skip
