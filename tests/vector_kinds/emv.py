"""Vector kinds of emv."""

from typing import Any

from shanfu.emv import CVR, CryptogramType, IssuerApplicationData, commands, decode_field55, parse_dol
from shanfu.iso7816 import TLVList, parse, tag_hex
from tests.vector_kinds.registry import Values, kind


def tree(objects: TLVList) -> list[dict[str, Any]]:
    return [
        {"tag": node.tag_hex, "length": len(node.value), "value": node.value.hex().upper()}
        | ({} if node.children is None else {"children": tree(node.children)})
        for node in objects
    ]


@kind("tlv_parse", "hex", "expected", error_class=lambda error: "format")
def tlv_parse(case: Values) -> Values:
    data = bytes.fromhex(case["hex"])
    objects = parse(data)
    assert bytes(objects) == data
    return {"expected": tree(objects)}


@kind("dol_parse", "hex", "expected_entries expected_total_length")
def dol_parse(case: Values) -> Values:
    dol = parse_dol(bytes.fromhex(case["hex"]))
    assert bytes(dol).hex().upper() == case["hex"]
    entries = [[tag_hex(tag), length] for tag, length in dol.entries]
    return {"expected_entries": entries, "expected_total_length": dol.total_length}


@kind("dol_fill", "hex values", "expected_data expected_command")
def dol_fill(case: Values) -> Values:
    values = {int(tag, 16): bytes.fromhex(value) for tag, value in case["values"].items()}
    data = parse_dol(bytes.fromhex(case["hex"])).fill(values)
    command = commands.get_processing_options(data)
    return {"expected_data": data.hex().upper(), "expected_command": bytes(command).hex().upper()}


@kind("f55_decode", "f55", "tags iad cvr_decoded", error_class=lambda error: "field")
def f55_decode(case: Values) -> Values:
    tags = decode_field55(bytes.fromhex(case["f55"]))
    iad = IssuerApplicationData.parse(tags[0x9F10])
    assert bytes(iad) == tags[0x9F10]
    return {
        "tags": {tag_hex(tag): value.hex().upper() for tag, value in tags.items()},
        "iad": iad_fields(iad),
        "cvr_decoded": cvr_fields(iad.flags),
    }


def iad_fields(iad: IssuerApplicationData) -> Values:
    idd = iad.idd or b""
    fields: Values = {
        "dki": f"{iad.dki:02X}", "cvn": f"{iad.cvn:02X}", "cvr": iad.cvr.hex().upper(), "alg": f"{iad.algorithm:02X}",
        "idd_len": len(idd), "idd": idd.hex().upper(),
    }  # fmt: skip
    if iad.balance:
        amount, mac = f"{iad.balance.amount_minor:010d}", iad.balance.mac.hex().upper()
        assert bytes(iad.balance) == idd
        fields["idd_fields"] = {"id": "01", "amount_n10": amount, "mac": mac}
    return fields


def cvr_fields(cvr: CVR) -> Values:
    second = {None: "RFU" if cvr.second_gac_requested else "not_requested"}
    flags = sorted((flag for flag in CVR if flag in cvr), reverse=True)
    return {
        "len": bytes(cvr)[0],
        "second_gac": second.get(cvr.second_gac) or CryptogramType(cvr.second_gac or 0).name,
        "first_gac": cvr.first_gac.name,
        "flags": [str(flag.name).lower() for flag in flags],
        "script_count": cvr.script_count,
    }
