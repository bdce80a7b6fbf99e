"""The frames of the vectors, as bytes, by dialect."""

import json
from pathlib import Path

VECTORS = Path(__file__).parents[1] / "vectors"


def _cases(name: str) -> list[dict[str, str]]:
    return json.loads((VECTORS / f"{name}.json").read_text())["cases"]


POS_FRAMES = {c["id"]: bytes.fromhex(c["frame"]) for c in _cases("iso8583_pos_messages")}
CUPS_FRAMES = {c["id"]: bytes.fromhex(c["frame"]) for c in _cases("iso8583_cups_messages") if "frame" in c}
CUPS_BODIES = {c["id"]: bytes.fromhex(c["message"]) for c in _cases("iso8583_cups_messages") if "message" in c} | {
    name: frame[50:] for name, frame in CUPS_FRAMES.items()
}
PURCHASE = POS_FRAMES["purchase-contactless-online-pin"]
TOKEN_PURCHASE = CUPS_FRAMES["token-purchase-request-to-issuer"]
