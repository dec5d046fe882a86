"""
The official SDK (py-clob-client-v2, optional extra ``bench``) with its network taken away.

What runs is the SDK's public way, `create_order` for each leg and `post_orders`, from arguments
to the bytes and headers it would send: the caches it fills from the network are filled by hand,
and `_post` keeps what it is given. Nothing else is changed, and for figures not even time or salt.
With amounts given, its order builder is asked directly, made once per contract.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any

from bench.inputs import ORDER_TYPE, TICK, Inputs, Signal


def installed() -> str | None:
    """Return the SDK's version, or None without it."""
    try:
        return version("py-clob-client-v2")
    except PackageNotFoundError:
        return None


class Sdk:
    """A client of the inputs' account that sends nothing."""

    def __init__(self, inputs: Inputs, *, signature_type: int = 0) -> None:
        types = import_module("py_clob_client_v2.clob_types")
        account = inputs.account
        self._args, self._post_args = types.OrderArgsV2, types.PostOrdersV2Args
        self._tokens = [str(token.token_id) for token in inputs.tokens]
        self.client: Any = import_module("py_clob_client_v2.client").ClobClient(
            "https://clob.invalid",
            137,
            key=account["private_key"],
            creds=types.ApiCreds(account["api_key"], account["secret"], account["passphrase"]),
            signature_type=signature_type,
            funder=account["wallet"] if signature_type else None,
        )
        self._options = [
            types.PartialCreateOrderOptions(tick_size=TICK, neg_risk=token.neg_risk)
            for token in inputs.tokens
        ]
        self.client._ClobClient__tick_sizes = dict.fromkeys(self._tokens, TICK)
        self.client._ClobClient__cached_version = 2
        self.client._post = self._keep
        config = import_module("py_clob_client_v2.config").get_contract_config(137)
        make = import_module("py_clob_client_v2.order_utils").ExchangeOrderBuilderV2
        self._builders = {
            neg_risk: make(contract, 137, self.client.signer)
            for neg_risk, contract in (
                (False, config.exchange_v2),
                (True, config.neg_risk_exchange_v2),
            )
        }
        self.body = b""
        self.headers: dict[str, str] = {}

    def _keep(self, _url: str, headers: dict[str, str], data: str) -> None:
        self.headers, self.body = headers, data.encode("utf-8")

    def arguments(self, signals: Sequence[Signal]) -> list[tuple[Any, Any]]:
        """Return what `request` wants of a basket: floats, as the SDK takes them."""
        return [
            (
                self._args(
                    token_id=self._tokens[signal.token],
                    price=float(signal.price),
                    size=float(signal.size),
                    side=str(signal.side),
                ),
                self._options[signal.token],
            )
            for signal in signals
        ]

    def request(self, basket: Sequence[tuple[Any, Any]]) -> None:
        """Create, sign and "post" a basket; `body` and `headers` are what would be sent."""
        create, wrap = self.client.create_order, self._post_args
        self.client.post_orders(
            [wrap(order=create(args, options), orderType=ORDER_TYPE) for args, options in basket]
        )

    def amounts(
        self, signals: Sequence[Signal], times_ms: Sequence[int] = ()
    ) -> list[tuple[Any, Any]]:
        """Return what `request_of_amounts` wants: a builder and the order's data, for each leg."""
        types = import_module("py_clob_client_v2.order_utils")
        builder = self.client.builder
        return [
            (
                self._builders[self._options[signal.token].neg_risk],
                types.OrderDataV2(
                    maker=builder.funder,
                    signer=self.client.signer.address(),
                    tokenId=self._tokens[signal.token],
                    makerAmount=str(signal.maker_amount),
                    takerAmount=str(signal.taker_amount),
                    side=types.Side[str(signal.side)],
                    signatureType=builder.signature_type,
                    timestamp=str(timestamp) if timestamp else None,
                ),
            )
            for signal, timestamp in zip(signals, times_ms or [0] * len(signals), strict=True)
        ]

    def request_of_amounts(self, basket: Sequence[tuple[Any, Any]]) -> None:
        """Do the same from amounts, by the shortest way through the SDK's own parts."""
        wrap = self._post_args
        self.client.post_orders(
            [wrap(order=one.build_signed_order(data), orderType=ORDER_TYPE) for one, data in basket]
        )

    @contextmanager
    def frozen(self, salts: Sequence[int], times_ms: Sequence[int], seconds: int) -> Iterator[None]:
        """Let the next orders have these salts and times, and the request this second."""
        builder: Any = import_module("py_clob_client_v2.order_builder.builder")
        time, build = builder.time, builder.ExchangeOrderBuilderV2
        salt_texts, clock = map(str, salts), itertools.chain(times_ms)
        builder.time = SimpleNamespace(time_ns=lambda: next(clock) * 1_000_000)
        builder.ExchangeOrderBuilderV2 = partial(build, generate_salt=lambda: next(salt_texts))
        kept = [(one, one.generate_salt) for one in self._builders.values()]
        for one, _ in kept:
            one.generate_salt = lambda: next(salt_texts)
        self.client._get_timestamp = lambda: seconds
        try:
            yield
        finally:
            builder.time, builder.ExchangeOrderBuilderV2 = time, build
            for one, generate in kept:
                one.generate_salt = generate
            del self.client._get_timestamp
