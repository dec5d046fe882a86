"""What turns outcome tokens back into cash without a counterparty (protocol.md section 24.1)."""

from dataclasses import dataclass

from polyarb.domain.money import SizeE6


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """
    Turn YES and NO of one market back into the collateral that they were made of.

    Attributes:
        condition_id: "0x" and 64 hex digits; of a V3 market 62 are enough.
        neg_risk: Which collateral adapter does it.
        v3: Its tokens are position ids: the router does it.
        amount_e6: Of each of the two, > 0.
    """

    condition_id: str
    neg_risk: bool
    v3: bool
    amount_e6: SizeE6


@dataclass(frozen=True, slots=True, kw_only=True)
class Convert:
    """
    Turn NO of k markets of a neg-risk group into k - 1 collateral and YES of all others.

    Attributes:
        neg_risk_id: The group, "0x" and 64 hex digits.
        index_set: Bit i selects the market with question index i.
        amount_e6: Of NO of each selected market, > 0.
    """

    neg_risk_id: str
    index_set: int
    amount_e6: SizeE6


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem:
    """
    Turn all YES and NO of a resolved market into what they pay.

    Attributes:
        condition_id, neg_risk, v3: As of `Merge`.
        amounts_e6: YES and NO held; only the V3 router is told, the others burn all there is.
    """

    condition_id: str
    neg_risk: bool
    v3: bool
    amounts_e6: tuple[SizeE6, SizeE6]


Step = Merge | Convert | Redeem
