"""Keccak-256 as FIPS 202 writes it, with Keccak's own padding instead of SHA-3's."""

from functools import cache

MASK = 2**64 - 1


def keccak256(data: bytes) -> bytes:
    """Return the sponge of FIPS 202 §4: rate 136 bytes, pad10*1 directly after the message."""
    rate = 136
    padded = bytearray(data)
    padded.append(0x01)  # SHA3-256 would append 0x06 (FIPS 202 §6.1 adds the bits 01)
    while len(padded) % rate:
        padded.append(0x00)
    padded[-1] |= 0x80
    state = bytes(200)
    for start in range(0, len(padded), rate):
        block = bytes(padded[start : start + rate]) + bytes(200 - rate)
        state = keccak_f(bytes(a ^ b for a, b in zip(state, block, strict=True)))
    return state[:32]


def keccak_f(state: bytes) -> bytes:
    """Return Keccak-f[1600] of 200 bytes; lane (x, y) is at byte 8 (x + 5 y) (FIPS 202 §3.1.2)."""
    lanes = {
        (x, y): int.from_bytes(state[8 * (x + 5 * y) :][:8], "little")
        for x in range(5)
        for y in range(5)
    }
    for round_index in range(24):
        lanes = iota(chi(pi(rho(theta(lanes)))), round_index)
    return b"".join(lanes[x, y].to_bytes(8, "little") for y in range(5) for x in range(5))


Lanes = dict[tuple[int, int], int]


def theta(a: Lanes) -> Lanes:
    """FIPS 202 §3.2.1."""
    c = [a[x, 0] ^ a[x, 1] ^ a[x, 2] ^ a[x, 3] ^ a[x, 4] for x in range(5)]
    d = [c[(x - 1) % 5] ^ rotate(c[(x + 1) % 5], 1) for x in range(5)]
    return {(x, y): a[x, y] ^ d[x] for x, y in a}


def rho(a: Lanes) -> Lanes:
    """FIPS 202 §3.2.2."""
    out = {(0, 0): a[0, 0]}
    x, y = 1, 0
    for t in range(24):
        out[x, y] = rotate(a[x, y], (t + 1) * (t + 2) // 2)
        x, y = y, (2 * x + 3 * y) % 5
    return out


def pi(a: Lanes) -> Lanes:
    """FIPS 202 §3.2.3."""
    return {(x, y): a[(x + 3 * y) % 5, x] for x, y in a}


def chi(a: Lanes) -> Lanes:
    """FIPS 202 §3.2.4."""
    return {(x, y): a[x, y] ^ (~a[(x + 1) % 5, y] & MASK & a[(x + 2) % 5, y]) for x, y in a}


def iota(a: Lanes, round_index: int) -> Lanes:
    """FIPS 202 §3.2.5."""
    constant = 0
    for j in range(7):
        constant |= rc(j + 7 * round_index) << (2**j - 1)
    return {**a, (0, 0): a[0, 0] ^ constant}


@cache
def rc(t: int) -> int:
    """Return bit t of the register of FIPS 202 §3.2.5, algorithm 5."""
    r = [1, 0, 0, 0, 0, 0, 0, 0]
    for _ in range(t % 255):
        r = [0, *r]
        for position in (0, 4, 5, 6):
            r[position] ^= r[8]
        r = r[:8]
    return r[0]


def rotate(lane: int, by: int) -> int:
    """Return a 64-bit lane with bit z moved to bit z + by."""
    by %= 64
    return (lane << by | lane >> (64 - by)) & MASK
