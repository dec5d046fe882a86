"""HMAC as RFC 2104 §2 writes it, over SHA-256 (block 64 bytes)."""

from hashlib import sha256


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return H(K XOR opad, H(K XOR ipad, message))."""
    if len(key) > 64:
        key = sha256(key).digest()
    key = key + bytes(64 - len(key))
    inner = sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
