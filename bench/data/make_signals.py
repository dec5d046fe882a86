"""
Write signals.json, the inputs every benchmark shares: ``python bench/data/make_signals.py``.

128 baskets of three legs on 64 tokens, drawn once with a fixed seed. The key is the first of the
public Anvil development keys; tokens, owner, secret and wallet are made up. Prices lie on the
0.01 tick and sizes have at most two decimals. Sizes whose last cent the official SDK drops are left
out (it cuts floats, and 514.68 becomes 514.67), since both sides are held to the same bytes.
"""

import base64
import json
import math
import random
from pathlib import Path

SEED = 20260
BASKETS, LEGS, TOKENS = 128, 3, 64


WALLET = "0x1771B5d7E0C1469331fe6D49c0Bf0a5D041C10AA"


def draw_size(draw: random.Random) -> str:
    """Return a size that is the same cut as a float and cut exactly."""
    while True:
        cents = draw.choice((100 * draw.randint(5, 9999), draw.randint(500, 99999)))
        text = f"{cents / 100:.2f}".removesuffix(".00")
        if math.floor(float(text) * 100) == cents:
            return text


def main() -> None:
    """Draw and write."""
    draw = random.Random(SEED)
    tokens = [
        {"id": str(draw.getrandbits(255) | 1 << 253), "neg_risk": bool(i % 3)}
        for i in range(TOKENS)
    ]
    baskets = [
        [
            {
                "token": token,
                "side": draw.choice(("BUY", "SELL")),
                "price": f"{draw.randint(1, 99) / 100:.2f}",
                "size": draw_size(draw),
            }
            for token in draw.sample(range(TOKENS), LEGS)
        ]
        for _ in range(BASKETS)
    ]
    account = {
        "private_key": "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "address": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        "wallet": WALLET,
        "api_key": "00000000-0000-4000-8000-" + draw.randbytes(6).hex(),
        "secret": base64.urlsafe_b64encode(draw.randbytes(32)).decode("ascii"),
        "passphrase": draw.randbytes(32).hex(),
        "now_ms": 1_790_000_000_123,
    }
    target = Path(__file__).with_name("signals.json")
    lines = [
        '{"account": ' + json.dumps(account) + ",",
        '"tokens": [',
        ",\n".join(json.dumps(token) for token in tokens),
        '], "baskets": [',
        ",\n".join(json.dumps(basket) for basket in baskets),
        "]}",
    ]
    target.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
