"""A world: one folder in which everybody of the sandbox lives, made on first use and kept.

    world.toml          settings
    ca/                 the sandbox CA and each host's certificate
    <host>/lmk          the host's local master key (0600)
    <host>/books.db     its books, unless the settings name a database
    cards/NAME.mem      a card's chip;  terminals/NAME.mem and NAME.pad a terminal and its PIN pad
    phones/NAME.mem     what a phone keeps;  keystores/NAME.mem the chip in it that keeps its keys and its counter
    device.key          seals the memories of cards, terminals and key stores (0600)

Token service and key cloud live in the network's process and on its database (a household), unless the settings let each live
apart; either way each has its folder, its security module and its tables.

`World.open` makes or opens the folder; `host(name)` builds a host over its books, `card(name)` and `terminal(name)` the
devices. Whoever opens a host's store owns it until it is closed: a second process is told who has it.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shanfu import tsp
from shanfu.acquirer import SCHEMA as ACQUIRER_SCHEMA
from shanfu.acquirer import Acquirer, AcquirerConfig
from shanfu.card import Card, Interface
from shanfu.clock import Clock, SystemClock
from shanfu.cloud import SCHEMA as CLOUD_SCHEMA
from shanfu.cloud import Cloud, CloudConfig
from shanfu.crypto import P256Key
from shanfu.errors import ConfigError
from shanfu.events import Events, nobody
from shanfu.hosts import Household, by_operation
from shanfu.hsm import SoftHSM, create_lmk, load_lmk
from shanfu.issuer import SCHEMA as ISSUER_SCHEMA
from shanfu.issuer import Issuer, IssuerConfig
from shanfu.links import Host
from shanfu.money import Currency
from shanfu.network import SCHEMA as NETWORK_SCHEMA
from shanfu.network import Network, NetworkConfig
from shanfu.sandbox.people import APPS, CLOUD, INSTITUTIONS, NETWORK, TSP, Merchant, card_named, merchant_named
from shanfu.sandbox.settings import Settings, read_settings
from shanfu.store import FileMemory, Lock, Schema, Sealer, Store, held
from shanfu.terminal import PBOC_2_0, PBOC_3_0, PinPad, ReaderKind, Terminal, TerminalConfig, unionpay_aids

__all__ = ["HOSTS", "HOUSEHOLD", "PROCESSES", "Roles", "World", "network_config", "private_folder", "role"]


@dataclass(frozen=True, slots=True)
class Roles:
    """What a host of the sandbox is: its kind, its bank ("" for nobody's), its identifier, its books' schema."""

    kind: str
    bank: str
    id: str
    schema: Schema


HOSTS = {
    "network": Roles("network", "", NETWORK, NETWORK_SCHEMA),
    "tsp": Roles("tsp", "", TSP, tsp.SCHEMA),
    "cloud": Roles("cloud", "", CLOUD, CLOUD_SCHEMA),
    **{f"issuer-{bank.name}": Roles("issuer", bank.name, bank.issuer_id, ISSUER_SCHEMA) for bank in INSTITUTIONS},
    **{f"acquirer-{bank.name}": Roles("acquirer", bank.name, bank.acquirer_id, ACQUIRER_SCHEMA) for bank in INSTITUTIONS},
}
HOUSEHOLD = ("network", "tsp", "cloud")  # who may live together, at the network's
STRIPE = "stripe"  # the record of a card's memory file that is not in the chip
PROCESSES = tuple(name for name in HOSTS if name not in HOUSEHOLD[1:])  # the hosts that always have a process of their own


class World:
    """An open world; made by `World.open` (`sandbox.build` makes its contents)."""

    def __init__(self, folder: Path, settings: Settings, clock: Clock) -> None:
        self.folder, self.settings, self.clock = folder, settings, clock

    @classmethod
    def open(cls, folder: str | Path, *, clock: Clock | None = None) -> "World":
        """Open a world that exists; ConfigError when there is none or its settings are wrong, StoreVersion when newer."""
        path = Path(folder)
        if not (path / "world.toml").is_file():
            raise ConfigError(f"{path}: holds no world (no world.toml)")
        return cls(path, read_settings(path / "world.toml"), clock or SystemClock())

    # -- hosts --------------------------------------------------------------------------------------------------------

    def home_of(self, name: str) -> str:
        """Return the host in whose process, and on whose database, this one lives: itself, or the network."""
        role(name)
        return "network" if self.settings.household and name in HOUSEHOLD else name

    @property
    def processes(self) -> list[str]:
        """The hosts that are a process each."""
        return [name for name in HOSTS if self.home_of(name) == name]

    def hsm(self, name: str) -> SoftHSM:
        """Open a host's security module with the LMK of its folder."""
        return SoftHSM(load_lmk(self.folder / name / "lmk"))

    def new_hsm(self, name: str) -> SoftHSM:
        """Make a host's folder and its LMK."""
        (self.folder / name).mkdir(parents=True)
        return SoftHSM(create_lmk(self.folder / name / "lmk"))

    def books_of(self, name: str) -> str:
        """Return where a host's books are: a URL of the settings, or the file in the folder of its home."""
        home = self.home_of(name)
        return self.settings.stores.get(home) or str(self.folder / home / "books.db")

    def store(self, name: str, *, read_only: bool = False) -> Store:
        """Open a host's books, with those of whoever lives in the same home."""
        home = self.home_of(name)
        schema = role(home).schema
        if home == "network" and self.settings.household:
            schema = schema.beside(*(role(other).schema for other in HOUSEHOLD[1:]))
        return Store.open(self.books_of(name), schema=schema, name=home, read_only=read_only)

    def host(self, name: str, *, watch: bool = False) -> Host[Any]:
        """Build what runs as a host's process, with settings and HSM; `watch` makes it tell events."""
        if name != "network" or not self.settings.household:
            return self.member(name, watch=watch)
        return Household(
            name,
            {member: self.member(member, watch=watch, at_home=True) for member in HOUSEHOLD},
            wires=[((name, TSP), ("tsp", NETWORK)), (("cloud", f"tsp/{TSP}"), ("tsp", "cloud"))],
            owner=by_operation(name, desks=HOUSEHOLD[1:], stations={"issuer": "tsp"}),
        )

    def member(self, name: str, *, watch: bool = False, at_home: bool = False) -> Host[Any]:
        """Build one host; `at_home` it shares its process with the others of the household."""
        kind, t = role(name), self.settings.timeouts
        hsm = self.hsm(name)
        match kind.kind:
            case "issuer":
                config = IssuerConfig(institution=kind.id, network=NETWORK, name=name, patience_ms=t.issuer_ms)
                return Issuer(config, hsm, watch=watch)
            case "acquirer":
                mine = AcquirerConfig(institution=kind.id, network=NETWORK, name=name, patience_ms=t.acquirer_ms)
                return Acquirer(mine, hsm, watch=watch)
            case "tsp":
                trids, patience_ms = tuple(app.trid for app in APPS), network_config(self.settings).token_service_ms
                service = tsp.TSPConfig(
                    institution=kind.id, network=NETWORK, name=name, patience_ms=patience_ms, requestors=trids,
                    inside=frozenset({NETWORK} if at_home else ()),
                )  # fmt: skip
                return tsp.TSP(service, hsm, watch=watch)
            case "cloud":
                apps = {app.package: app.trid for app in APPS}
                maker = P256Key(bytes.fromhex((self.folder / "attester.key").read_text())).point.hex()
                return Cloud(CloudConfig(name=name, tsp=f"tsp/{TSP}", apps=apps, attestation_key=maker), hsm, watch=watch)
            case _:
                switch = replace(network_config(self.settings), inside=frozenset({TSP} if at_home else ()))
                return Network(switch, hsm, watch=watch)

    def claim(self, name: str) -> Lock:
        """Be this world's process of a host; Conflict when there is one."""
        return Lock(self._claim(name))

    def runs(self, name: str) -> bool:
        """Say whether a process of this world runs a host; another world's on the same port does not count."""
        return held(self._claim(name))

    def _claim(self, name: str) -> Path:
        return self.folder / self.home_of(name) / "process"

    # -- devices ------------------------------------------------------------------------------------------------------

    @property
    def sealer(self) -> Sealer:
        """What seals the memories of cards and terminals."""
        return Sealer.from_file(self.folder / "device.key")

    def card_memory(self, name: str) -> FileMemory:
        """Open a chip's memory."""
        return FileMemory(self.folder / "cards" / f"{card_named(name).name}.mem", self.sealer)

    @contextmanager
    def card(self, name: str) -> Iterator[Card]:
        """Take a card out of the drawer."""
        with self.card_memory(name) as memory:
            yield Card(memory, interfaces=[Interface(face) for face in card_named(name).interfaces])

    def branch_pad(self, bank: str, sealer: Sealer | None = None) -> FileMemory:
        """Open what the PIN pad of a bank's branch keeps."""
        return FileMemory(self.folder / bank / "branch.pad", sealer or self.sealer)

    def stripe(self, name: str) -> str:
        """Return what is on a card's stripe: track 2."""
        with self.card_memory(name) as memory:
            return (memory.read(STRIPE) or b"").decode("ascii")

    def terminal_memory(self, name: str) -> FileMemory:
        """Open what a terminal keeps."""
        return FileMemory(self.folder / "terminals" / f"{name}.mem", self.sealer)

    @contextmanager
    def terminal(
        self, name: str, *, keypad: Callable[[str], str | None], events: Events = nobody
    ) -> Iterator[tuple[Terminal, PinPad, FileMemory]]:
        """Switch a merchant's terminal on: the terminal, its PIN pad, and the memory that its dialogues keep records in."""
        merchant = merchant_named(name)
        pad_file = self.folder / "terminals" / f"{name}.pad"
        with self.terminal_memory(name) as memory, FileMemory(pad_file, self.sealer) as pad_memory:
            tmk = pad_memory.read("tmk")
            if tmk is None:
                raise ConfigError(f"{pad_file}: this PIN pad holds no master key")
            config = terminal_config(merchant, self.settings.timeouts.terminal_ms)
            pad = PinPad(tmk, pad_memory, keypad)
            yield Terminal(config, memory, clock=self.clock, events=events), pad, memory


def network_config(settings: Settings) -> NetworkConfig:
    """Return what the switch of a world is told."""
    t = settings.timeouts
    return NetworkConfig(institution=NETWORK, timeout_ms=t.network_ms, issuer_timeout_ms=t.issuer_ms, cut_off=settings.cut_off)


def role(name: str) -> Roles:
    """Return what a host is; a ConfigError names the hosts there are."""
    if name not in HOSTS:
        raise ConfigError(f"host {name!r}: not in the sandbox; there are {', '.join(HOSTS)}")
    return HOSTS[name]


def terminal_config(merchant: Merchant, timeout_ms: int) -> TerminalConfig:
    """Return the settings with which a merchant's terminal is installed."""
    modern, aids = merchant.edition != "2.0", unionpay_aids(enrolled=merchant.pin_free)
    version = PBOC_3_0 if modern else PBOC_2_0
    return TerminalConfig(
        merchant_id=merchant.id,
        merchant_name=merchant.title,
        terminal_id=merchant.terminal,
        mcc=merchant.mcc,
        currency=Currency.of(merchant.currency),
        country="344" if merchant.currency == "HKD" else "156",
        readers=frozenset(ReaderKind(reader) for reader in merchant.readers),
        aids=tuple(replace(aid, contactless_floor=merchant.offline, version=version) for aid in aids),
        sm_algorithms=modern,
        offline_ceiling=merchant.offline,
        acquirer_timeout_ms=timeout_ms,
    )


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True)
    os.chmod(path, 0o700)
