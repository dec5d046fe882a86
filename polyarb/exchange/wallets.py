"""
Addresses, and the wallets an EOA owns: where the factories on Polygon deploy them (CREATE2).

A wallet's address follows from its owner's before anything is deployed (EIP-1014), so a funder
that does not belong to the key is found at start-up instead of at the first refused order.
"""

import re
from dataclasses import dataclass
from typing import Final

from polyarb.core.digest import checksum_address, keccak256
from polyarb.errors import ArgumentTypeError, MalformedError

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_HEX: Final = re.compile(r"0x((?:[0-9a-fA-F]{2})+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletContracts:
    """
    The contracts that wallet addresses depend on; each an address unless it says otherwise.

    Attributes:
        proxy_factory: Deploys the proxies of e-mail accounts (signature type 1).
        proxy_implementation: What those proxies delegate to.
        safe_factory: Deploys the safes of browser wallets (signature type 2).
        safe_init_code_hash: keccak256 of a safe's creation code, 0x and 64 hex digits.
        deposit_factory: Deploys deposit wallets (signature type 3).
        deposit_implementation: What a deposit wallet of the first kind (UUPS) delegates to.
        deposit_beacon: Where one of the second kind reads its implementation.
    """

    proxy_factory: str
    proxy_implementation: str
    safe_factory: str
    safe_init_code_hash: str
    deposit_factory: str
    deposit_implementation: str
    deposit_beacon: str


POLYGON: Final = WalletContracts(
    proxy_factory="0xaB45c5A4B0c941a2F231C04C3f49182e1A254052",
    proxy_implementation="0x44e999d5c2F66Ef0861317f9A4805AC2e90aEB4f",
    safe_factory="0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b",
    safe_init_code_hash="0x2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf",
    deposit_factory="0x00000000000Fb5C9ADea0298D729A0CB3823Cc07",
    deposit_implementation="0x58CA52ebe0DadfdF531Cde7062e76746de4Db1eB",
    deposit_beacon="0x7A18EDfe055488A3128f01F563e5B479D92ffc3a",
)
"""Chain 137 (protocol.md section 24.2; the implementations from polymarket-client 0.14.0)."""

# Creation code of the proxy: ask the factory for the implementation, copy an EIP-1167 clone,
# call cloneConstructor(bytes) with no bytes on it.
_PROXY_HEAD: Final = bytes.fromhex("3d3d606380380380913d393d73")
_PROXY_CLONE: Final = bytes.fromhex(
    "5af4602a57600080fd5b602d8060366000396000f3363d3d373d3d3d363d73"
)
_PROXY_TAIL: Final = bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_CLONE_CONSTRUCTOR: Final = bytes.fromhex("52e831dd") + (32).to_bytes(32, "big") + bytes(32)

# Creation code of Solady's LibClone ERC-1967 proxies with immutable arguments appended:
# PUSH2 <length of what is returned>, then the parts around the implementation or beacon.
_ERC1967_HEAD: Final = bytes.fromhex("3d8160233d3973")
_ERC1967_LENGTH: Final = 0x3D
_ERC1967_TAIL: Final = bytes.fromhex(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_LENGTH: Final = 0x52
_BEACON_TAIL: Final = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)

_SESSION_MAGIC: Final = bytes.fromhex("6492" * 16)


def parse_address(name: str, value: str) -> bytes:
    """
    Return the 20 bytes of an address: 0x and 40 hex digits.

    Raises:
        ArgumentTypeError: Not a str.
        MalformedError: Not that, or in mixed case that breaks the EIP-55 checksum: a digit was
            mistyped. All-lower and all-upper carry no checksum and are accepted.
    """
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    if _ADDRESS.fullmatch(value) is None:
        raise MalformedError(f"{name} {value[:80]!r} is not an address (0x and 40 hex digits)")
    digits = value[2:]
    raw = bytes.fromhex(digits)
    if digits not in (digits.lower(), digits.upper()) and checksum_address(raw) != value:
        raise MalformedError(f"{name} {value} breaks the EIP-55 checksum; is a digit mistyped?")
    return raw


def proxy_wallet(owner: str, contracts: WalletContracts = POLYGON) -> str:
    """Return the checksummed address of the proxy (signature type 1) that `owner` owns."""
    factory = parse_address("proxy_factory", contracts.proxy_factory)
    implementation = parse_address("proxy_implementation", contracts.proxy_implementation)
    code = b"".join(
        (_PROXY_HEAD, factory, _PROXY_CLONE, implementation, _PROXY_TAIL, _CLONE_CONSTRUCTOR)
    )
    return _create2(factory, keccak256(parse_address("owner", owner)), keccak256(code))


def safe_wallet(owner: str, contracts: WalletContracts = POLYGON) -> str:
    """Return the checksummed address of the safe (signature type 2) that `owner` owns."""
    salt = keccak256(_word(parse_address("owner", owner)))
    code_hash = _parse_hex("safe_init_code_hash", contracts.safe_init_code_hash)
    if len(code_hash) != 32:
        raise MalformedError(f"safe_init_code_hash has {len(code_hash)} bytes, not 32")
    return _create2(parse_address("safe_factory", contracts.safe_factory), salt, code_hash)


def deposit_wallet_uups(owner: str, contracts: WalletContracts = POLYGON) -> str:
    """Return the checksummed address of `owner`'s deposit wallet (type 3) of the first kind."""
    target = parse_address("deposit_implementation", contracts.deposit_implementation)
    return _deposit_wallet(owner, contracts, _ERC1967_LENGTH, target, _ERC1967_TAIL)


def deposit_wallet_beacon(owner: str, contracts: WalletContracts = POLYGON) -> str:
    """Return the same of the second kind; the factory deploys it if its ``beacon()`` is set."""
    target = parse_address("deposit_beacon", contracts.deposit_beacon)
    return _deposit_wallet(owner, contracts, _BEACON_LENGTH, target, _BEACON_TAIL)


def wrap_session_signature(session_signer: str, signature: str) -> str:
    """
    Pack the signature of a session key for the deposit wallet that authorised it.

    ABI (bytes32 signer, bytes32 zero, bytes signature), then the magic 32 bytes (protocol.md
    section 7.2).

    Args:
        session_signer: Address of the session key.
        signature: 0x and hex digits, plain or ERC-7739 wrapped.
    """
    signer = _word(parse_address("session_signer", session_signer))
    raw = _parse_hex("signature", signature)
    head = signer + bytes(32) + (96).to_bytes(32, "big") + len(raw).to_bytes(32, "big")
    return "0x" + (head + raw + bytes(-len(raw) % 32) + _SESSION_MAGIC).hex()


def _deposit_wallet(
    owner: str, contracts: WalletContracts, length: int, target: bytes, tail: bytes
) -> str:
    factory = parse_address("deposit_factory", contracts.deposit_factory)
    arguments = _word(factory) + _word(parse_address("owner", owner))
    push = b"\x61" + (length + len(arguments)).to_bytes(2, "big")
    code = push + _ERC1967_HEAD + target + tail + arguments
    return _create2(factory, keccak256(arguments), keccak256(code))


def _create2(factory: bytes, salt: bytes, code_hash: bytes) -> str:
    return checksum_address(keccak256(b"\xff" + factory + salt + code_hash)[12:])


def _word(address: bytes) -> bytes:
    return address.rjust(32, b"\0")


def _parse_hex(name: str, value: str) -> bytes:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} must be a str, not {type(value).__name__}")
    match = _HEX.fullmatch(value)
    if match is None:
        raise MalformedError(f"{name} {value[:80]!r} is not 0x and pairs of hex digits")
    return bytes.fromhex(match[1])
