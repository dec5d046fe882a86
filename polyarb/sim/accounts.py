"""Who may do what: API credentials, the wallets behind a signing key, restrictions, heartbeats."""

import base64
import hashlib
import uuid
from dataclasses import dataclass
from typing import Final

from polyarb.sim import signatures
from polyarb.sim.ledger import Ledger, Wallet

_OPERATORS: Final = (
    "0xada100db00ca00073811820692005400218fce1f",  # CtfCollateralAdapter
    "0xada2005600dec949baf300f4c6120000bdb6eaab",  # NegRiskCtfCollateralAdapter
    "0x12121212006e4cd160d18e3f00711da5c3372600",  # Router (V3)
    "0x1000008dd9001b968442c1000017eae6e0da00ba",  # binary module
    "0x200000900045e3b6259600682756002200028933",  # neg-risk module
    "0xa1200000d0002264c9a1698e001292d00e1b00af",  # AutoRedeemer
    "0xdca4af75705dbb50f62437045aff9921947917d2",  # perpetuals, says polymarket-client 0.14.0
)


def spenders(chain_id: int) -> frozenset[str]:
    """Return every contract a wallet approves before it trades (sections 16 and 24.2)."""
    exchanges = (
        signatures.exchange(generation, neg_risk, chain_id).address
        for generation in signatures.Generation
        for neg_risk in (False, True)
    )
    return frozenset((*exchanges, *_OPERATORS))


KINDS: Final = (
    signatures.parse_address,
    signatures.proxy_wallet,
    signatures.safe_wallet,
    signatures.deposit_wallet,
)
"""The wallet of an EOA for each signature type (protocol.md section 7.1)."""


@dataclass(slots=True, eq=False)
class Credential:
    """
    One API key.

    Attributes:
        eoa: Lower-case address of the key that signed for it.
        number: The L1 nonce it belongs to.
        heartbeat_id: Of the next heartbeat; None before the first one.
        beat: Counts heartbeats, so that an old deadline knows it is old.
    """

    key: str
    secret: str
    passphrase: str
    eoa: str
    number: int = 0
    read_only: bool = False
    heartbeat_id: str | None = None
    beat: int = 0

    def public(self) -> dict[str, str]:
        """Return the answer of the endpoints that hand it out."""
        return {"apiKey": self.key, "secret": self.secret, "passphrase": self.passphrase}


class Accounts:
    """
    Every credential and the wallets of every EOA that came by.

    Attributes:
        closed_only, banned: Lower-case EOAs and wallets that are restricted.
    """

    def __init__(self, seed: str, ledger: Ledger, spenders: frozenset[str]) -> None:
        self._seed = seed
        self._ledger = ledger
        self._spenders = spenders
        self.keys: dict[str, Credential] = {}
        self._by_signer: dict[tuple[str, int], Credential] = {}
        self._owned: dict[str, list[Wallet]] = {}
        self._made = 0
        self._deleted: set[tuple[str, int]] = set()
        self.closed_only: set[str] = set()
        self.banned: set[str] = set()

    def wallets(self, eoa: str) -> tuple[Wallet, ...]:
        """Return the four wallets of a lower-case EOA, by signature type."""
        if eoa not in self._owned:
            self._owned[eoa] = []
            for kind, derive in enumerate(KINDS):
                self._add(eoa, derive(eoa), kind)
        return tuple(self._owned[eoa][: len(KINDS)])

    def wallet(self, eoa: str, address: str, kind: int) -> Wallet:
        """Return a wallet that belongs to an EOA: one of the four, or the older deposit wallet."""
        self.wallets(eoa)
        for wallet in self._owned[eoa]:
            if wallet.address == address:
                return wallet
        return self._add(eoa, address, kind)

    def _add(self, eoa: str, address: str, kind: int) -> Wallet:
        wallet = self._ledger.add(Wallet(address.lower(), eoa, kind))
        self._owned[eoa].append(wallet)
        return wallet

    def approve_all(self, wallet: Wallet) -> None:
        """Let every contract move a wallet's funds, as its owner would have to approve first."""
        for approved in wallet.approved:
            approved.update(self._spenders)

    def wallets_of(self, eoa: str) -> list[Wallet]:
        """Return every wallet that belongs to an EOA, older deposit wallets included."""
        self.wallets(eoa)
        return self._owned[eoa]

    def find(self, eoa: str, number: int) -> Credential | None:
        """Return the credential of an EOA and L1 nonce."""
        return self._by_signer.get((eoa, number))

    def create(self, eoa: str, number: int = 0, *, read_only: bool = False) -> Credential:
        """Make a credential; the first one of an EOA and L1 nonce follows from the seed alone."""
        self._made += 1
        count = self._made if read_only or (eoa, number) in self._deleted else ""
        digest = hashlib.sha512(f"{self._seed}|{eoa}|{number}|{count}".encode()).digest()
        made = Credential(
            key=str(uuid.UUID(bytes=digest[:16], version=4)),
            secret=base64.urlsafe_b64encode(digest[16:48]).decode(),
            passphrase=hashlib.sha256(digest).hexdigest(),
            eoa=eoa,
            number=number,
            read_only=read_only,
        )
        self.keys[made.key] = made
        if not read_only:
            self._by_signer[eoa, number] = made
        self.wallets(eoa)
        return made

    def delete(self, credential: Credential) -> None:
        """Forget a credential."""
        self.keys.pop(credential.key, None)
        self._deleted.add((credential.eoa, credential.number))
        if not credential.read_only:
            self._by_signer.pop((credential.eoa, credential.number), None)

    def of(self, eoa: str) -> list[Credential]:
        """Return every credential of an EOA."""
        return [held for held in self.keys.values() if held.eoa == eoa]
