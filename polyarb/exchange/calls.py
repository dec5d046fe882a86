"""
Position calls: what a wallet asks the chain to do (protocol.md section 24.3).

A call that is made here moves tokens and collateral of the wallet alone, and none sends native
coin along. An EOA sends each as a transaction of its own, for which it pays gas in POL
(`transaction`); every other wallet hands several at once to the relayer (``relayer.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from polyarb.core.base import integer
from polyarb.domain.settlement import Convert, Merge, Redeem, Step
from polyarb.errors import MalformedError
from polyarb.exchange import abi
from polyarb.exchange.contracts import EXCHANGES, POLYGON, PositionContracts

APPROVE: Final = bytes.fromhex("095ea7b3")
SET_APPROVAL_FOR_ALL: Final = bytes.fromhex("a22cb465")
SPLIT_POSITION: Final = bytes.fromhex("72ce4275")
MERGE_POSITIONS: Final = bytes.fromhex("9e7212ad")
REDEEM_POSITIONS: Final = bytes.fromhex("01b7037c")
CONVERT_POSITIONS: Final = bytes.fromhex("c64748c4")
WRAP: Final = bytes.fromhex("62355638")
UNWRAP: Final = bytes.fromhex("8cc7104f")
ROUTER_SPLIT: Final = bytes.fromhex("82d3b9f1")
ROUTER_MERGE: Final = bytes.fromhex("5b63685e")
ROUTER_REDEEM: Final = bytes.fromhex("d217a3cc")

SIGNATURES: Final = {
    "approve(address,uint256)": APPROVE,
    "setApprovalForAll(address,bool)": SET_APPROVAL_FOR_ALL,
    "splitPosition(address,bytes32,bytes32,uint256[],uint256)": SPLIT_POSITION,
    "mergePositions(address,bytes32,bytes32,uint256[],uint256)": MERGE_POSITIONS,
    "redeemPositions(address,bytes32,bytes32,uint256[])": REDEEM_POSITIONS,
    "convertPositions(bytes32,uint256,uint256)": CONVERT_POSITIONS,
    "wrap(address,address,uint256)": WRAP,
    "unwrap(address,address,uint256)": UNWRAP,
    "split(bytes31,uint256)": ROUTER_SPLIT,
    "merge(bytes31,uint256)": ROUTER_MERGE,
    "redeem(bytes31,uint256,uint256)": ROUTER_REDEEM,
}
"""Every function called, and its selector; a test hashes the texts."""

UNLIMITED: Final = abi.UINT256_MAX
"""The allowance that never needs to be renewed."""

_NO_PARENT: Final = bytes(abi.WORD)
_OUTCOMES: Final = (1, 2)  # index sets of YES and NO
_CONDITION_CHARS: Final = 66
_CONDITION31_CHARS: Final = 64


@dataclass(frozen=True, slots=True)
class Call:
    """
    One call of a wallet.

    Attributes:
        target: The contract, checksummed.
        data: Selector and arguments.
    """

    target: str
    data: bytes


def transaction(owner: str, call: Call) -> dict[str, str]:
    """
    Return a call as an EOA's transaction: what ``eth_estimateGas`` and signers of wallets take.

    No relayer carries it; `owner` sends it over a node of its own and pays for it in POL.
    """
    abi.address("owner", owner)
    return {"from": owner, "to": call.target, "value": "0x0", "data": "0x" + call.data.hex()}


def approve(spender: str, amount: int = UNLIMITED, contracts: PositionContracts = POLYGON) -> Call:
    """Let `spender` take that much pUSD; 0 takes it back."""
    words = (abi.address("spender", spender), abi.uint("amount", amount))
    return _call(contracts.collateral, APPROVE, *words)


def approve_legacy(
    spender: str, amount: int = UNLIMITED, contracts: PositionContracts = POLYGON
) -> Call:
    """Let `spender` take that much USDC.e, as the onramp must to wrap it."""
    words = (abi.address("spender", spender), abi.uint("amount", amount))
    return _call(contracts.legacy_collateral, APPROVE, *words)


def approve_tokens(
    operator: str,
    approved: bool = True,
    *,
    v3: bool = False,
    contracts: PositionContracts = POLYGON,
) -> Call:
    """Let, or no longer let, `operator` move every outcome token."""
    words = (abi.address("operator", operator), abi.boolean("approved", approved))
    target = contracts.position_manager if v3 else contracts.tokens
    return _call(target, SET_APPROVAL_FOR_ALL, *words)


def approvals(contracts: PositionContracts = POLYGON) -> list[Call]:
    """
    Return what a wallet on Polygon approves once, to trade and to settle (protocol.md section 16).

    The exchanges take collateral and tokens when orders match, adapters and router when positions
    are split, merged, redeemed or converted.
    """
    v2, v2_neg_risk, v3 = EXCHANGES[137][2:]
    both = (v2, v2_neg_risk, contracts.adapter, contracts.neg_risk_adapter)
    return [
        *(approve(spender, contracts=contracts) for spender in (*both, contracts.router, v3)),
        *(approve_tokens(operator, contracts=contracts) for operator in both),
        *(
            approve_tokens(operator, v3=True, contracts=contracts)
            for operator in (contracts.router, v3)
        ),
    ]


def split(
    condition_id: str,
    amount_e6: int,
    *,
    neg_risk: bool = False,
    v3: bool = False,
    contracts: PositionContracts = POLYGON,
) -> Call:
    """Turn pUSD into as many YES and NO."""
    amount = _amount(amount_e6)
    if v3:
        return _call(contracts.router, ROUTER_SPLIT, _condition31(condition_id), amount)
    return _adapted(SPLIT_POSITION, condition_id, neg_risk, contracts, amount)


def merge(step: Merge, contracts: PositionContracts = POLYGON) -> Call:
    """Turn YES and as many NO into pUSD."""
    amount = _amount(step.amount_e6)
    if step.v3:
        return _call(contracts.router, ROUTER_MERGE, _condition31(step.condition_id), amount)
    return _adapted(MERGE_POSITIONS, step.condition_id, step.neg_risk, contracts, amount)


def redeem(step: Redeem, contracts: PositionContracts = POLYGON) -> list[Call]:
    """Turn the tokens of a resolved market into what they pay; of V3 a call for each outcome."""
    if not step.v3:
        return [_adapted(REDEEM_POSITIONS, step.condition_id, step.neg_risk, contracts)]
    condition = _condition31(step.condition_id)
    return [
        _call(contracts.router, ROUTER_REDEEM, condition, abi.uint("outcome", i), _amount(amount))
        for i, amount in enumerate(step.amounts_e6)
        if amount
    ]


def convert(step: Convert, contracts: PositionContracts = POLYGON) -> Call:
    """Turn NO of the selected markets into pUSD and YES of the others."""
    integer("index_set", step.index_set, 1, 2**256 - 1)
    return _call(
        contracts.neg_risk_adapter,
        CONVERT_POSITIONS,
        abi.fixed("neg_risk_id", step.neg_risk_id, 32),
        abi.uint("index_set", step.index_set),
        _amount(step.amount_e6),
    )


def wrap(to: str, amount_e6: int, contracts: PositionContracts = POLYGON) -> Call:
    """Turn USDC.e into pUSD that `to` receives."""
    return _ramp(contracts.onramp, WRAP, to, amount_e6, contracts)


def unwrap(to: str, amount_e6: int, contracts: PositionContracts = POLYGON) -> Call:
    """Turn pUSD into USDC.e that `to` receives."""
    return _ramp(contracts.offramp, UNWRAP, to, amount_e6, contracts)


def position_calls(steps: Sequence[Step], contracts: PositionContracts = POLYGON) -> list[Call]:
    """
    Return the calls that carry steps out, in their order.

    Raises:
        MalformedError: A condition or group id that is not one.
        RangeError: An amount outside 1..2^256 - 1, or an empty set of markets.
    """
    calls: list[Call] = []
    for step in steps:
        match step:
            case Merge():
                calls.append(merge(step, contracts))
            case Convert():
                calls.append(convert(step, contracts))
            case Redeem():
                calls += redeem(step, contracts)
    return calls


def _call(target: str, selector: bytes, *values: abi.Value) -> Call:
    return Call(target, selector + abi.sequence(values))


def _adapted(
    selector: bytes,
    condition_id: str,
    neg_risk: bool,
    contracts: PositionContracts,
    *amount: bytes,
) -> Call:
    return _call(
        contracts.neg_risk_adapter if neg_risk else contracts.adapter,
        selector,
        abi.address("collateral", contracts.collateral),
        _NO_PARENT,
        abi.fixed("condition_id", condition_id, 32),
        abi.uints("partition", _OUTCOMES),
        *amount,
    )


def _ramp(
    target: str, selector: bytes, to: str, amount_e6: int, contracts: PositionContracts
) -> Call:
    asset = abi.address("asset", contracts.legacy_collateral)
    return _call(target, selector, asset, abi.address("to", to), _amount(amount_e6))


def _condition31(condition_id: str) -> bytes:
    """Encode a V3 condition: 31 bytes, which Gamma shows alone or with a zero behind them."""
    if len(condition_id) == _CONDITION_CHARS:
        if not condition_id.endswith("00"):
            raise MalformedError(f"condition_id {condition_id!r} of V3 does not end in 00")
        condition_id = condition_id[:_CONDITION31_CHARS]
    return abi.fixed("condition_id", condition_id, 31)


def _amount(amount_e6: int) -> bytes:
    return abi.uint("amount_e6", integer("amount_e6", amount_e6, 1, abi.UINT256_MAX))
