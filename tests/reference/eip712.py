"""
EIP-712 hashes of the three order generations, from the standard and protocol.md sections 6 to 8.

A struct is a list of (type, name); its encodeType, typeHash and encodeData follow from that alone.
Fields arrive as in the vectors' `message`: decimal text or ints, addresses and bytes32 as hex.
"""

from reference.keccak import keccak256

Struct = list[tuple[str, str]]
Fields = dict[str, object]

ORDER_V1: Struct = [
    ("uint256", "salt"),
    ("address", "maker"),
    ("address", "signer"),
    ("address", "taker"),
    ("uint256", "tokenId"),
    ("uint256", "makerAmount"),
    ("uint256", "takerAmount"),
    ("uint256", "expiration"),
    ("uint256", "nonce"),
    ("uint256", "feeRateBps"),
    ("uint8", "side"),
    ("uint8", "signatureType"),
]
ORDER_V2: Struct = [
    ("uint256", "salt"),
    ("address", "maker"),
    ("address", "signer"),
    ("uint256", "tokenId"),
    ("uint256", "makerAmount"),
    ("uint256", "takerAmount"),
    ("uint8", "side"),
    ("uint8", "signatureType"),
    ("uint256", "timestamp"),
    ("bytes32", "metadata"),
    ("bytes32", "builder"),
]
ORDER = {1: ORDER_V1, 2: ORDER_V2, 3: ORDER_V2}

DOMAIN: Struct = [
    ("string", "name"),
    ("string", "version"),
    ("uint256", "chainId"),
    ("address", "verifyingContract"),
]
CLOB_AUTH_DOMAIN: Struct = DOMAIN[:3]
CLOB_AUTH: Struct = [
    ("address", "address"),
    ("string", "timestamp"),
    ("uint256", "nonce"),
    ("string", "message"),
]
TYPED_DATA_SIGN: Struct = [
    ("Order", "contents"),
    ("string", "name"),
    ("string", "version"),
    ("uint256", "chainId"),
    ("address", "verifyingContract"),
    ("bytes32", "salt"),
]


def order_struct_hash(generation: int, fields: Fields) -> bytes:
    """Return hashStruct of an order of generation 1, 2 or 3."""
    return hash_struct(encode_type("Order", ORDER[generation]), ORDER[generation], fields)


def domain_separator(version: str | int, chain_id: int, contract: str) -> bytes:
    """Return hashStruct of the exchange's domain; `version` is the order's generation."""
    fields: Fields = {
        "name": "Polymarket CTF Exchange",
        "version": str(version),
        "chainId": chain_id,
        "verifyingContract": contract,
    }
    return hash_struct(encode_type("EIP712Domain", DOMAIN), DOMAIN, fields)


def order_digest(generation: int, chain_id: int, contract: str, fields: Fields) -> bytes:
    """Return the order's id, which signature types 0 to 2 sign."""
    separator = domain_separator(generation, chain_id, contract)
    return digest(separator, order_struct_hash(generation, fields))


def typed_data_sign_struct_hash(generation: int, chain_id: int, fields: Fields) -> bytes:
    """Return hashStruct of ERC-7739's TypedDataSign around an order; the wallet is its signer."""
    outer: Fields = {
        "contents": order_struct_hash(generation, fields),
        "name": "DepositWallet",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": fields["signer"],
        "salt": "0x" + "00" * 32,
    }
    # EIP-712 §encodeType: the types a struct refers to follow it, sorted by name.
    order_type = encode_type("Order", ORDER[generation])
    return hash_struct(
        encode_type("TypedDataSign", TYPED_DATA_SIGN) + order_type, TYPED_DATA_SIGN, outer
    )


def typed_data_sign_digest(generation: int, chain_id: int, contract: str, fields: Fields) -> bytes:
    """Return what the owner of a deposit wallet signs (signature type 3)."""
    separator = domain_separator(generation, chain_id, contract)
    return digest(separator, typed_data_sign_struct_hash(generation, chain_id, fields))


def clob_auth_digest(address: str, timestamp: str, nonce: int, chain_id: int) -> bytes:
    """Return what an L1 signature is made over (protocol.md section 4)."""
    domain: Fields = {"name": "ClobAuthDomain", "version": "1", "chainId": chain_id}
    fields: Fields = {
        "address": address,
        "timestamp": timestamp,
        "nonce": nonce,
        "message": "This message attests that I control the given wallet",
    }
    return digest(
        hash_struct(encode_type("EIP712Domain", CLOB_AUTH_DOMAIN), CLOB_AUTH_DOMAIN, domain),
        hash_struct(encode_type("ClobAuth", CLOB_AUTH), CLOB_AUTH, fields),
    )


def digest(separator: bytes, struct_hash: bytes) -> bytes:
    """EIP-712 §Specification: the hash that is signed."""
    return keccak256(b"\x19\x01" + separator + struct_hash)


def encode_type(name: str, struct: Struct) -> str:
    """EIP-712 §encodeType."""
    return f"{name}({','.join(f'{kind} {member}' for kind, member in struct)})"


def hash_struct(type_text: str, struct: Struct, fields: Fields) -> bytes:
    """EIP-712 §hashStruct: keccak256(typeHash ‖ encodeData)."""
    words = [encode_field(kind, fields[member]) for kind, member in struct]
    return keccak256(keccak256(type_text.encode("ascii")) + b"".join(words))


def encode_field(kind: str, value: object) -> bytes:
    """EIP-712 §encodeData: one 32-byte word for each member."""
    if kind == "string":
        return keccak256(str(value).encode("utf-8"))
    if isinstance(value, bytes):  # a nested struct is its hash
        assert len(value) == 32
        return value
    if kind == "address":
        return int(str(value), 16).to_bytes(20, "big").rjust(32, b"\0")
    if kind == "bytes32":
        return int(str(value), 16).to_bytes(32, "big")
    number = int(str(value))
    assert number < 2 ** int(kind.removeprefix("uint"))
    return number.to_bytes(32, "big")
