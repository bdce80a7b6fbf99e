"""A phone that taps without end, in a process of its own; it writes down each cryptogram as it leaves. To be killed.

python -m tests.wallet.payer STORAGE KEYSTORE OUTPUT NOW_MS
"""

import sys
from pathlib import Path

from shanfu.card import Interface
from shanfu.clock import ManualClock
from shanfu.emv import FCI, IssuerApplicationData, commands, parse_gpo_response
from shanfu.store import FileMemory, Sealer
from shanfu.wallet import DeviceKeyStore, Model, Phone
from tests.card.bench import TERMINAL
from tests.wallet.bench import ask


def main(storage: str, keystore: str, output: str, now_ms: str) -> None:
    sealer = Sealer(bytes(32))
    values = {tag: bytes.fromhex(text) for tag, text in TERMINAL.items()}
    with FileMemory(Path(storage), sealer) as memory, FileMemory(Path(keystore), sealer) as keys, open(output, "a") as seen:
        phone = Phone(memory, DeviceKeyStore(keys), model=Model(name="x"), clock=ManualClock(int(now_ms)))
        target = phone.tap_target
        print("ready", flush=True)
        while True:
            target.power_on(Interface.CONTACTLESS)
            fci = FCI.parse(ask(target, commands.select(bytes.fromhex("A000000333010101"))).data)
            assert fci.pdol is not None
            answer = ask(target, commands.get_processing_options(fci.pdol.fill(values)))
            target.power_off()
            if not answer.ok:
                print("exhausted", phone.shown[-1].reason, flush=True)
                return
            tags = parse_gpo_response(answer.data)
            index = IssuerApplicationData.parse(tags[0x9F10]).key_index
            seen.write(f"{tags[0x9F36].hex()} {index} {tags[0x9F26].hex()}\n")
            seen.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
