"""Shanfu (闪付): an open contactless mobile-payment system, each party real and replaceable.

Folders are parties (card, terminal, acquirer, network, issuer), standards (crypto, iso7816, emv, iso8583) or the
equipment that parties own (hsm, store, links, hosts). Import direction: doors → sandbox → parties → card → equipment →
emv iso8583 → crypto iso7816 → vocabulary (errors, money, pan, clock, dialogue, events, settings).
"""

__version__ = "0.1.0"
