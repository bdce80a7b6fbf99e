"""An outside program at a PC/SC reader, by Debian's pyscard and nothing of ours: `python3 outsider.py READER COMMAND...`.

Prints one JSON object: the answer to reset, the protocol (1: T=0, 2: T=1), and each answer. Runs under the system's Python.
"""

import json
import sys


def main(name: str, commands: list[str]) -> None:
    from smartcard.System import readers

    connection = next(one for one in readers() if str(one) == name).createConnection()
    connection.connect()
    told = {"atr": bytes(connection.getATR()).hex().upper(), "protocol": connection.getProtocol(), "answers": []}
    for command in commands:
        data, sw1, sw2 = connection.transmit(list(bytes.fromhex(command)))
        told["answers"].append(bytes([*data, sw1, sw2]).hex().upper())
    connection.disconnect()
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
