"""People's phones: what is in their pockets, how they vouch for themselves.

A phone's storage and its key store are two files, as they are two things: who copies the first has nothing. Phones of the
sandbox are made by one maker, whose key vouches for them at enrolment (`attester.key`); the key cloud knows it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from shanfu.clock import Clock
from shanfu.cloud import TEST_FORMAT
from shanfu.crypto import P256Key
from shanfu.events import Events, nobody
from shanfu.messages import Call, Reply, wallet
from shanfu.sandbox.people import app_named, phone_named
from shanfu.sandbox.world import World
from shanfu.store import FileMemory
from shanfu.wallet import DeviceKeyStore, Model, Phone

__all__ = ["CloudLine", "attested", "make_attester", "pocket", "wipe"]

MAKER_KEY: Final = "attester.key"

CloudLine = Callable[[Call], Reply]


@contextmanager
def pocket(world: World, name: str, cloud: CloudLine | None, *, clock: Clock, events: Events = nobody) -> Iterator[Phone]:
    """Take a phone out of its holder's pocket; `cloud` is its way to the key cloud while it has a network."""
    about = phone_named(name)
    storage, keys = _files(world, name)
    for file in (storage, keys):
        file.parent.mkdir(mode=0o700, exist_ok=True)
    with FileMemory(storage, world.sealer) as memory, FileMemory(keys, world.sealer) as chip:
        fresh = not memory.names()
        model = Model(name=about.title, os_version=about.os_version, nfc=about.nfc)
        phone = Phone(
            memory, DeviceKeyStore(chip), model=model, clock=clock, cloud=cloud, events=events, attest=attested(world)
        )  # fmt: skip
        if fresh and phone.trouble is None:
            phone.make_default(app_named(about.apps[0]).package)
        yield phone


def wipe(world: World, name: str) -> None:
    """Take everything off a phone, as its holder may before he sells it."""
    for file in _files(world, name):
        file.unlink(missing_ok=True)


def _files(world: World, name: str) -> tuple[Path, Path]:
    return world.folder / "phones" / f"{name}.mem", world.folder / "keystores" / f"{name}.mem"


# -- the maker of phones -----------------------------------------------------------------------------------------------


def make_attester(world: World) -> None:
    """Draw the key with which the maker vouches for phones."""
    path = world.folder / MAKER_KEY
    path.touch(mode=0o600)
    path.write_text(P256Key.generate().secret.hex())


def attested(world: World) -> Callable[[wallet.Enrol], wallet.Attestation]:
    """Return how a phone is vouched for: its maker signs what it enrols with."""
    key = P256Key(bytes.fromhex((world.folder / MAKER_KEY).read_text()))

    def attest(asked: wallet.Enrol) -> wallet.Attestation:
        return wallet.Attestation(format=TEST_FORMAT, statement=key.sign(wallet.enrolment_statement(asked)).hex())

    return attest
