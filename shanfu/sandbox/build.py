"""Makes a world: keys, certificates, banks with their customers and cards, merchants with their terminals.

The order is that of the real thing: every host gets its HSM; members and network form their master keys; banks open accounts
and issue cards; the bureau personalises chips; acquirers install terminals and inject their keys. A world that was cut off
while being made is no world (its `world.toml` is written last) and is made anew.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shanfu import acquirer, cloud, issuer, network, tsp
from shanfu.card import PROFILES, CardKeys, CardProfile, Interface, laboratory_card, personalise
from shanfu.clock import Clock, SystemClock
from shanfu.errors import ConfigError
from shanfu.hosts import install_key
from shanfu.hsm import Algorithm, KeyBlock, KeyUsage, SoftHSM
from shanfu.iso8583 import AIDRecord
from shanfu.links import issue, make_ca
from shanfu.money import Currency, Money
from shanfu.pan import PAN
from shanfu.sandbox.apis import grant_credentials
from shanfu.sandbox.authority import ISSUER_BITS, Authority, IssuerChain, pair_label
from shanfu.sandbox.ceremony import Bureau, Components, components
from shanfu.sandbox.people import (
    APP_PASSWORD,
    APPS,
    BINS,
    CARDS,
    INSTITUTIONS,
    MERCHANTS,
    NETWORK,
    PEOPLE,
    PIN,
    TOKEN_BINS,
    TSP,
    Institution,
    Merchant,
    SandboxCard,
)  # fmt: skip
from shanfu.sandbox.phones import make_attester
from shanfu.sandbox.settings import Settings, new_settings, write_settings
from shanfu.sandbox.world import HOSTS, STRIPE, World, private_folder, terminal_config
from shanfu.store import FileMemory, Sealer, Store

__all__ = ["build", "open_or_build"]

PVKI = "1"
TERMINAL = "terminal"  # one certificate for all tills: terminals are known by their MAC, not by their line
ROOMS = ("ca", "cards", "terminals", "phones", "keystores")
PAIRS = {"tdes": Algorithm.RSA, "sm4": Algorithm.SM2}  # a card signs with the pair of its own generation
OFFLINE: dict[str, Any] = {"last_online_atc": 1, "offline_pin": PIN}  # a card that its bank has put to use, with a PIN inside
MASTER_USES = (KeyUsage.IMK_AC, KeyUsage.IMK_MAC, KeyUsage.IMK_ENC)
ALGORITHMS = {"tdes": Algorithm.TDES, "sm4": Algorithm.SM4}


def open_or_build(folder: str | Path, *, settings: Settings | None = None, clock: Clock | None = None) -> World:
    """Open the world in a folder, making it when the folder is new or empty."""
    path = Path(folder)
    if not (path / "world.toml").exists():
        _require_room(path)
        build(path, settings=settings or new_settings(), clock=clock or SystemClock())
    return World.open(path, clock=clock)


def _require_room(path: Path) -> None:
    ours = {*HOSTS, *ROOMS, "attester.key", "device.key"}  # of a world that was cut off while being made
    strangers = [p.name for p in path.iterdir() if p.name not in ours] if path.is_dir() else []
    if strangers:
        raise ConfigError(f"{path}: is not empty and holds no world ({strangers[0]}); name another folder with --data")


def build(folder: Path, *, settings: Settings, clock: Clock) -> World:
    """Make a world in an empty folder, or over one that was cut off while being made."""
    for leftover in (*HOSTS, *ROOMS):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    try:
        private_folder(folder)
        world = World(folder, settings, clock)
        make_ca(folder / "ca")
        for subject in (*(role.id for role in HOSTS.values()), TERMINAL):
            issue(folder / "ca", subject)
        hsms = {name: world.new_hsm(name) for name in HOSTS}
        stores = {name: world.store(name) for name in world.processes}
    except OSError as fault:
        raise ConfigError(f"{folder}: no world can be made here: {fault.strerror}") from fault
    stores |= {name: stores[world.home_of(name)] for name in HOSTS}
    try:
        _Builder(world, hsms, stores).run()
    finally:
        for store in stores.values():
            store.close()
    grant_credentials(world)
    make_attester(world)
    write_settings(folder / "world.toml", settings)
    return world


@dataclass(frozen=True, slots=True)
class BankKeys:
    """What a bank's cards are made with: master keys by cipher, keys of check values, certificates by cipher and BIN."""

    masters: dict[str, tuple[KeyBlock, ...]]
    pvk: KeyBlock
    cvk: KeyBlock
    chains: dict[tuple[str, str], IssuerChain]


class _Builder:
    """The hands that set a world up, with every HSM and every store open."""

    def __init__(self, world: World, hsms: dict[str, SoftHSM], stores: dict[str, Store]) -> None:
        self.world, self.hsms, self.stores = world, hsms, stores
        self.now_ms = world.clock.now_ms()
        self.sealer = Sealer.from_file(world.folder / "device.key", create=True)

    def run(self) -> None:
        for name, role in HOSTS.items():
            self._book_keys(name)
            if role.kind not in ("network", "cloud"):
                self._enrol_member(name)
        self.authority = Authority(self.hsms["network"])
        for algorithm, pair in self.authority.pairs.items():
            self._key("network", pair_label(algorithm), pair)
        for row in BINS:
            issuing = HOSTS[f"issuer-{row.issuer}"].id
            network.add_route(self.stores["network"], row.prefix, issuing, now_ms=self.now_ms)
        for bank in INSTITUTIONS:
            self._open_bank(bank)
        self._open_token_service()
        for merchant in MERCHANTS:
            self._install(merchant.name)
            self._offer_downloads(merchant)

    # -- network ------------------------------------------------------------------------------------------------------

    def _enrol_member(self, name: str) -> None:
        """Form the member's master key on both sides, and its own book keys."""
        mmk, member, hub = components(), HOSTS[name], self.hsms["network"]
        network.enrol_member(self.stores["network"], member.id, name=name, roles=frozenset({member.kind}))
        self._key("network", network.mmk_label(member.id), hub.form(KeyUsage.KEK, Algorithm.TDES, mmk.parts))
        self._key(name, f"mmk/{NETWORK}", self.hsms[name].form(KeyUsage.KEK, Algorithm.TDES, mmk.parts))

    def _key(self, name: str, label: str, block: KeyBlock) -> None:
        prefix = {"tsp": tsp.PREFIX, "cloud": cloud.PREFIX}.get(name, "")
        install_key(self.stores[name], label, block, now_ms=self.now_ms, prefix=prefix)

    def _book_keys(self, name: str) -> None:
        hsm = self.hsms[name]
        self._key(name, "seal", hsm.generate(KeyUsage.SEAL, Algorithm.AES))
        self._key(name, "lookup", hsm.generate(KeyUsage.LOOKUP, Algorithm.HMAC))

    # -- tokens -------------------------------------------------------------------------------------------------------

    def _open_token_service(self) -> None:
        """Register apps and token BINs, and agree the keys that token service, key cloud, network and issuers share."""
        store = self.stores["tsp"]
        self._share(tsp.VAULT, "tsp", "network")
        self._key("cloud", cloud.SIGN, self.hsms["cloud"].generate(KeyUsage.SIGN, Algorithm.P256))
        for bank in INSTITUTIONS:
            self._share(tsp.pan_label(bank.issuer_id), "tsp", f"issuer-{bank.name}")
            prefixes = [row.prefix for row in BINS if row.issuer == bank.name]
            for row in TOKEN_BINS:
                if row.issuer == bank.name:
                    self._open_range(row.prefix, bank, prefixes)
        for app in APPS:
            order = tsp.RequestorOrder(
                trid=app.trid, name=app.title, name_zh=app.title_zh, app=app.package, issuer=HOSTS[f"issuer-{app.issuer}"].id
            )
            tsp.enrol_requestor(store, order, now_ms=self.now_ms)
            self._share(tsp.pan_label(app.trid), "tsp", "cloud")

    def _open_range(self, prefix: str, bank: Institution, card_bins: list[str]) -> None:
        """Give an issuer a token BIN, its master key to service and cloud, and its route to the network."""
        country = "344" if bank.name == "harbour" else "156"
        order = tsp.RangeOrder(bin=prefix, issuer=bank.issuer_id, country=country, card_bins=card_bins)
        tsp.add_token_range(self.stores["tsp"], order, now_ms=self.now_ms)
        network.add_route(self.stores["network"], prefix, bank.issuer_id, station=TSP, now_ms=self.now_ms)
        self._share(tsp.imk_label(prefix, 1), "tsp", "cloud", usage=KeyUsage.IMK_AC, algorithm=Algorithm.TDES)

    def _share(
        self, label: str, one: str, other: str, *, usage: KeyUsage = KeyUsage.VAULT, algorithm: Algorithm = Algorithm.AES
    ) -> None:  # fmt: skip
        """Form one key from the same components on both sides, under the same label."""
        parts = components(32 if algorithm is Algorithm.AES else 16).parts
        for name in (one, other):
            self._key(name, label, self.hsms[name].form(usage, algorithm, parts))

    # -- banks --------------------------------------------------------------------------------------------------------

    def _open_bank(self, bank: Institution) -> None:
        name = f"issuer-{bank.name}"
        store, hsm = self.stores[name], self.hsms[name]
        pvk = hsm.generate(KeyUsage.PVK, Algorithm.TDES)
        self._key(name, issuer.pvk_label(PVKI), pvk)
        cvk = hsm.generate(KeyUsage.CVK, Algorithm.TDES)
        self._key(name, issuer.CVK, cvk)
        self._furnish_branch(name)
        masters = {word: tuple(hsm.generate(use, algorithm) for use in MASTER_USES) for word, algorithm in ALGORITHMS.items()}
        for word, blocks in masters.items():
            for use, block in zip(("ac", "mac", "enc"), blocks, strict=True):
                self._key(name, issuer.imk_label("sandbox", ALGORITHMS[word], 1, use=use), block)
        chains = self._certify(name, bank)
        people = [person for person in PEOPLE if person.bank == bank.name]
        for person in people:
            contact = issuer.Contact(mobile=person.mobile, password=APP_PASSWORD)
            issuer.open_customer(
                store, person.name, name=person.title, name_zh=person.title_zh, now_ms=self.now_ms, contact=contact, hsm=hsm
            )
            for kind, code, amount in person.accounts:
                self._open_account(store, person.name, (kind, code, amount))
        bureau, holders = Bureau(hsm), {person.name for person in people}
        for card in CARDS:
            if card.holder in holders:
                self._issue(name, card, bureau, BankKeys(masters, pvk, cvk, chains))

    def _furnish_branch(self, name: str) -> None:
        """Inject the PIN key of the bank's branch into its PIN pad, where customers choose their PIN."""
        pik = components()
        self._key(name, issuer.DESK_PIK, self.hsms[name].form(KeyUsage.PIK, Algorithm.TDES, pik.parts))
        with self.world.branch_pad(name, self.sealer) as memory:
            memory.write({"pik": pik.clear})

    def _certify(self, name: str, bank: Institution) -> dict[tuple[str, str], IssuerChain]:
        """Make the bank's pairs and have each certified for each of its BINs; by cipher of the card and BIN."""
        chains = {}
        for word, algorithm in PAIRS.items():
            pair = self.hsms[name].generate_pair(KeyUsage.ISSUER_PAIR, algorithm, bits=ISSUER_BITS)
            self._key(name, pair_label(algorithm), pair)
            for row in BINS:
                if row.issuer == bank.name:
                    chains[word, row.prefix] = self.authority.certify(self.hsms[name], pair, algorithm, row.prefix)
        return chains

    def _open_account(self, store: Store, customer: str, terms: tuple[str, str, int]) -> None:
        kind, code, amount = terms
        credit = kind == "credit"
        account = issuer.open_account(
            store,
            customer=customer,
            currency=Currency.of(code),
            kind=issuer.AccountKind.CREDIT if credit else issuer.AccountKind.DEBIT,
            limit_minor=amount if credit else 0,
            now_ms=self.now_ms,
        )
        if not credit:
            issuer.deposit(store, account.account, amount, name=f"opening/{account.account}", now_ms=self.now_ms)

    def _issue(self, name: str, card: SandboxCard, bureau: Bureau, keys: "BankKeys") -> None:
        profile, published = self._profile(card)
        word = profile.algorithm.name.lower()
        if published:
            # nobody has this card's master key: its own key is formed, for it alone
            udk = Components((published.ac, bytes(16)))
            block = self.hsms[name].form(KeyUsage.UDK_AC, Algorithm.TDES, udk.parts)
            self._key(name, issuer.imk_label("lab", Algorithm.TDES, profile.dki), block)
            for use, usage, key in (("mac", KeyUsage.UDK_MAC, published.mac), ("enc", KeyUsage.UDK_ENC, published.enc)):
                own = self.hsms[name].form(usage, Algorithm.TDES, Components((key, bytes(16))).parts)
                self._key(name, issuer.imk_label("lab", Algorithm.TDES, profile.dki, use=use), own)
            card_keys = published
        else:
            ac, mac, enc = keys.masters[word]
            profile = bureau.chain(bureau.checked(profile, keys.cvk), keys.chains[word, card.pan[:6]], self.authority.serial())
            card_keys = bureau.card_keys((ac, mac, enc), pan=card.pan, psn=profile.psn)
        order = issuer.CardOrder(
            pan=PAN(card.pan),
            group=card.holder,
            expiry=profile.expiry,
            psn=profile.psn,
            pvv=bureau.pvv(PIN, pan=card.pan, pvk=keys.pvk, pvki=PVKI),
            pvki=PVKI,
            product=profile.product.value,
            imk_family="lab" if published else "sandbox",
            algorithms=(ALGORITHMS[word],),
            state=issuer.CardState[card.status],
            pin_tries=card.tries,
            cash=Money(card.cash, profile.currencies[0]) if card.cash else None,
        )
        issuer.issue_card(self.stores[name], self.hsms[name], order, now_ms=self.now_ms)
        private_folder(self.world.folder / "cards")
        with FileMemory(self.world.folder / "cards" / f"{card.name}.mem", self.sealer) as memory:
            personalise(profile, card_keys, memory)
            memory.write({STRIPE: bureau.stripe(profile, keys.cvk).encode()})

    def _profile(self, card: SandboxCard) -> tuple[CardProfile, CardKeys | None]:
        if card.profile == "lab":
            profile = laboratory_card()
            assert profile.published is not None
            return profile, CardKeys.parse(profile.published[0x8000])
        holder = next(person for person in PEOPLE if person.name == card.holder)
        currencies = tuple(Currency.of(code) for _, code, _ in holder.accounts)
        profile = PROFILES[card.profile](PAN(card.pan), holder.title.upper())
        faces = frozenset(Interface(face) for face in card.interfaces)
        profile = replace(profile, expiry=card.expiry, currencies=currencies, interfaces=faces)
        return replace(profile, **OFFLINE, balance_minor=card.cash) if card.cash else profile, None

    # -- terminals' downloads -----------------------------------------------------------------------------------------

    def _offer_downloads(self, merchant: Merchant) -> None:
        """Have the acquirer give its terminals the authority's keys; to one that lets cards pay alone, its limits too."""
        store = self.stores[f"acquirer-{merchant.acquirer}"]
        own = {"group": merchant.name} if merchant.offline else {}
        for key in self.authority.keys:
            acquirer.add_ca_key(store, key.record, **own)
        if merchant.offline:
            [limits] = terminal_config(merchant, self.world.settings.timeouts.terminal_ms).aids
            told = AIDRecord(
                aid=limits.aid, tac_default=limits.tac_default, tac_online=limits.tac_online, tac_denial=limits.tac_denial,
                contactless_floor_minor=merchant.offline, cvm_limit_minor=limits.cvm_limit,
            )  # fmt: skip
            acquirer.set_aid(store, told, **own)
            acquirer.assign_terminal(store, merchant.terminal, merchant.name)

    # -- merchants ----------------------------------------------------------------------------------------------------

    def _install(self, merchant_name: str) -> None:
        """Enrol a merchant and its terminal, and inject the terminal's master key into its PIN pad."""
        merchant = next(m for m in MERCHANTS if m.name == merchant_name)
        name, tmk = f"acquirer-{merchant.acquirer}", components()
        store = self.stores[name]
        order = acquirer.MerchantOrder(
            merchant=merchant.id,
            name=merchant.title,
            name_zh=merchant.title_zh,
            mcc=merchant.mcc,
            currency=Currency.of(merchant.currency),
            pin_free=merchant.pin_free,
        )
        acquirer.enrol_merchant(store, order, now_ms=self.now_ms)
        injected = self.hsms[name].form(KeyUsage.KEK, Algorithm.TDES, tmk.parts)
        acquirer.enrol_terminal(store, merchant.terminal, merchant=merchant.id, tmk=injected, now_ms=self.now_ms)
        private_folder(self.world.folder / "terminals")
        with FileMemory(self.world.folder / "terminals" / f"{merchant.name}.pad", self.sealer) as memory:
            memory.write({"tmk": tmk.clear})
