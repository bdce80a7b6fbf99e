"""The parameters that an acquirer has downloaded to this terminal: keys of certification authorities, applications.

They are kept as they came, one record each, and take the place of what the terminal was installed with under the same name.
Downloads carry no MAC, so what they can do is bounded at installation: a test key counts only in a terminal that takes
test keys, and a downloaded floor limit never goes over `offline_ceiling`, which is 0 unless somebody has raised it.

Who calls: `downloads.py` writes, the flows read, `Terminal.parameters()` shows. Sources: EMV B2 11.2, EMV B4 10.2, UnionPay
terminal parameter download.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from shanfu.dialogue import Dialogue, Keep, Memory
from shanfu.errors import StoreVersion
from shanfu.iso8583 import AIDRecord, encode_aid, encode_ca_key, parse_aid, parse_ca_key
from shanfu.oda import CAKey, CAKeys, Reason
from shanfu.terminal.config import AIDParameters, TerminalConfig

__all__ = ["ParameterBook", "Parameters"]

FORMAT = 1
KEY_PREFIX, AID_PREFIX = "ca-key-", "aid-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What is in force: applications in their order, and CA keys by name; `unused` tells of some keys why they are not."""

    aids: tuple[AIDParameters, ...]
    ca_keys: tuple[CAKey, ...]
    unused: Mapping[str, Reason]


class ParameterBook:
    """Installed and downloaded parameters together."""

    def __init__(self, config: TerminalConfig, memory: Memory) -> None:
        self._config = config
        kept = {name: _opened(name, memory.read(name)) for name in memory.names() if name.startswith((KEY_PREFIX, AID_PREFIX))}
        keys = {name: parse_ca_key(raw) for name, raw in kept.items() if name.startswith(KEY_PREFIX)}
        self._keys = {name: CAKey.of_record(record) for name, record in keys.items() if record is not None}
        records = {name: parse_aid(raw) for name, raw in kept.items() if name.startswith(AID_PREFIX)}
        self._aids = {name: record for name, record in records.items() if record is not None}
        self._refresh()

    def _refresh(self) -> None:
        config = self._config
        keys = (*config.ca_keys, *self._keys.values())
        self.ca_keys = CAKeys(keys, allow_test=config.accept_test_keys, sm=config.sm_algorithms)
        known = {limits.aid: limits for limits in config.aids}
        for record in self._aids.values():
            known[record.aid] = _merged(known.get(record.aid) or AIDParameters(aid=record.aid), record, config)
        self.aids = tuple(known.values())

    def in_force(self, today: date) -> Parameters:
        """Everything, for people to look at."""
        keys, known = tuple(self.ca_keys), self.ca_keys
        judged = {key.name: key.refusal(today, allow_test=known.allow_test, sm=known.sm) for key in keys}
        return Parameters(aids=self.aids, ca_keys=keys, unused={name: why for name, why in judged.items() if why is not None})

    def keep_key(self, key: CAKey) -> Dialogue[None]:
        """Keep one key and use it from now on."""
        name = f"{KEY_PREFIX}{key.rid.hex()}{key.index:02x}"
        yield Keep(name, bytes((FORMAT,)) + encode_ca_key(key.record))
        self._keys[name] = key
        self._refresh()

    def keep_aid(self, record: AIDRecord) -> Dialogue[None]:
        """Keep the parameters of one application and use them from now on."""
        name = f"{AID_PREFIX}{record.aid.hex()}"
        yield Keep(name, bytes((FORMAT,)) + encode_aid(record))
        self._aids[name] = record
        self._refresh()

    def drop_keys_but(self, names: set[tuple[bytes, int]]) -> Dialogue[None]:
        """Forget downloaded keys that the acquirer's list does not name any more."""
        for name, key in list(self._keys.items()):
            if (key.rid, key.index) not in names:
                yield Keep(name, None)
                del self._keys[name]
        self._refresh()


# fmt: off
_SAME = (  # of AIDRecord,          of AIDParameters
    ("version",                     "version"),
    ("tac_default",                 "tac_default"),
    ("tac_online",                  "tac_online"),
    ("tac_denial",                  "tac_denial"),
    ("threshold_minor",             "random_threshold"),
    ("target_percent",              "random_target_percent"),
    ("max_percent",                 "random_max_percent"),
    ("ddol",                        "ddol"),
    ("cash_limit_minor",            "cash_limit"),
    ("contactless_limit_minor",     "transaction_limit"),
    ("cvm_limit_minor",             "cvm_limit"),
)
# fmt: on


def _merged(installed: AIDParameters, record: AIDRecord, config: TerminalConfig) -> AIDParameters:
    """What the download says over what was installed; DF01 = 01 exact, DF18 = 0 no online PIN, floors under their ceiling."""
    told = {ours: getattr(record, theirs) for theirs, ours in _SAME}
    floors = {"floor": record.floor_minor, "contactless_floor": record.contactless_floor_minor}
    told |= {name: min(value, config.offline_ceiling) for name, value in floors.items() if value is not None}
    if record.selection is not None:
        told["exact"] = record.selection == 1
    if record.online_pin is not None:
        told["online_pin"] = bool(record.online_pin)
    return replace(installed, **{name: value for name, value in told.items() if value not in (None, b"")})


def _opened(name: str, raw: bytes | None) -> bytes:
    if not raw or raw[0] != FORMAT:
        raise StoreVersion(f"terminal {name}: format {raw[0] if raw else 'none'}, this version reads {FORMAT}")
    # the digit in front of an application's parameters belongs to their form in DE62
    return raw[1:]
