"""
What this build is, and whether it is right: known answers on every kernel and backend.

The answers are a few of the official SDKs' (``known_answers.json``). The timings are a first
impression of this machine, not a benchmark; ``python -m bench`` compares properly.
"""

import json
import platform
import statistics
from collections.abc import Callable
from functools import partial
from importlib import resources
from typing import Any, Final

from polyarb import __version__, clock, errors
from polyarb.core import keccak256
from polyarb.core.account import Account, Reason
from polyarb.core.arena import Arena, ArenaConfig
from polyarb.core.base import compiler, kernel, kernels, select_kernel, sha256_accelerated
from polyarb.core.digest import OrderBatch
from polyarb.core.request import Request, Token
from polyarb.domain.order import Order, Side
from polyarb.exchange.auth import Credentials, l2_headers
from polyarb.exchange.orders import order_body
from polyarb.exchange.signing import BACKENDS, OrderSigner

ROUNDS: Final = 9
CALLS: Final = 100


def run_checks() -> dict[str, Any]:
    """Return the build, the outcome of every check, and timings in nanoseconds."""
    answers = json.loads(resources.files(__package__).joinpath("known_answers.json").read_text())
    chosen = kernel()
    checks: dict[str, str] = {}
    try:
        for name in kernels():
            select_kernel(name)
            checks[f"keccak, {name}"] = _outcome(lambda: _check_keccak(answers["keccak"]))
            checks[f"hmac, {name}"] = _outcome(lambda: _check_hmac(answers["hmac"]))
            checks[f"digests, {name}"] = _outcome(lambda: _check_digests(answers["orders"]))
    finally:
        select_kernel(chosen)
    for backend in BACKENDS:
        checks[f"orders signed by {backend}"] = _outcome(
            partial(_check_orders, answers["orders"], backend)
        )
    checks["account in shared memory"] = _outcome(_check_account)
    return {
        "ok": all(outcome.startswith("ok") for outcome in checks.values()),
        "version": __version__,
        "python": platform.python_version(),
        "compiler": compiler(),
        "machine": f"{platform.machine()}, {platform.system()} {platform.release()}",
        "kernel": chosen,
        "kernels": kernels(),
        "sha_instructions": sha256_accelerated(),
        "signing": OrderSigner(answers["orders"][0]["private_key"]).backend,
        "checks": checks,
        "timings_ns": _timings(answers),
    }


def report(checks: dict[str, Any]) -> str:
    """Return the outcome of `run_checks` as text."""
    sha = "SHA instructions" if checks["sha_instructions"] else "no SHA instructions"
    lines = [
        f"polyarb {checks['version']}  (Python {checks['python']}, {checks['compiler']}, "
        f"{checks['machine']})",
        f"kernel   {checks['kernel']} of {', '.join(checks['kernels'])}; {sha}",
        f"signing  {checks['signing']}",
        "",
        *(f"  {outcome:<16} {name}" for name, outcome in checks["checks"].items()),
        "",
        f"first impression of this machine, median of {ROUNDS} rounds "
        "(python -m bench compares properly)",
        *(
            f"  {nanoseconds / 1000:8.2f} µs  {name}"
            for name, nanoseconds in checks["timings_ns"].items()
        ),
        "",
        "all known answers reproduced" if checks["ok"] else "FAILED: do not trade with this build",
    ]
    return "\n".join(lines)


def _outcome(check: Callable[[], int]) -> str:
    """Run a check that returns how many answers it compared."""
    try:
        return f"ok, {check()} answers"
    except (AssertionError, errors.PolyarbError) as error:
        return f"FAILED: {error}"


def _equal(name: str, got: object, expected: object) -> None:
    if got != expected:
        raise errors.SelfTestError(f"{name}: got {got!r}, known answer {expected!r}")


def _check_keccak(cases: list[dict[str, Any]]) -> int:
    for case in cases:
        _equal(case["id"], keccak256(bytes.fromhex(case["input_hex"])).hex(), case["keccak256"])
    return len(cases)


def _check_hmac(cases: list[dict[str, Any]]) -> int:
    for case in cases:
        credentials = Credentials("key", case["secret"], "phrase")
        signature = credentials.sign(
            case["method"], case["path"], case["body"], int(case["timestamp"])
        )
        _equal(case["id"], signature, case["signature"])
    return len(cases)


def _check_digests(cases: list[dict[str, Any]]) -> int:
    for case in cases:
        batch = OrderBatch([Order(**case["order"])])
        batch.hash(_signer(case).core[1])
        _equal(case["id"], "0x" + batch.digest(0).hex(), case["digest"])
    return len(cases)


def _check_orders(cases: list[dict[str, Any]], backend: Any) -> int:
    for case in cases:
        [signed] = _signer(case, backend).sign([Order(**case["order"])])
        terms = {name: case[name] for name in ("owner", "order_type", "defer_exec", "post_only")}
        _equal(case["id"], order_body(signed, **terms).decode(), case["body"])
    return len(cases)


def _check_account() -> int:
    with Arena.create(None, config=ArenaConfig(histogram_count=1)) as arena:
        account = Account(arena)
        _equal("trading of a new arena", account.breaker.blocked(0), (Reason.TRADING_OFF,))
        account.balance.credit(1_000_000)
        account.balance.reserve(400_000)
        account.balance.commit(300_000)
        account.balance.release(100_000)
        _equal("balance", account.balance.available_e6, 700_000)
        stamps = account.stamps.issue(15, 1_790_000_000_000)
        _equal("salts", len({stamp.salt for stamp in stamps}), 15)
    return 3


def _signer(case: dict[str, Any], backend: Any = None) -> OrderSigner:
    return OrderSigner(
        case["private_key"],
        signature_type=case["order"]["signature_type"],
        funder=case["funder"],
        chain_id=case["chain_id"],
        backend=backend,
    )


def _timings(answers: dict[str, Any]) -> dict[str, int]:
    [case] = [c for c in answers["orders"] if c["order"]["signature_type"] == 2][-1:]
    signer, order = _signer(case), Order(**case["order"])
    credentials = Credentials(case["owner"], answers["hmac"][0]["secret"], "phrase")
    body = case["body"].encode()
    digest = bytes.fromhex(case["digest"][2:])
    rows: dict[str, Callable[[], object]] = {
        "Keccak-256 of 384 bytes": lambda: keccak256(bytes(384)),
        f"L2 headers of a {len(body)}-byte body": lambda: l2_headers(
            credentials, "POST", "/order", body, 1_790_000_000, signer.address
        ),
        "one signature": lambda: signer.sign_digest(digest),
        "2 orders hashed and signed, the general way": lambda: signer.sign([order, order]),
    }
    native, domains = signer.core
    if native is not None:
        account = Account(Arena.create(None, config=ArenaConfig(histogram_count=1)))
        request = Request(
            signer=native,
            domains=domains,
            hmac=credentials.hmac,
            account_order=order,
            tokens=[Token(token_id=order.token_id), Token(token_id=1, neg_risk=True)],
            owner=case["owner"],
            stamps=account.stamps,
        )

        def prepared() -> None:
            request.put_leg(0, 0, Side.BUY, 1_000_000, 2_000_000)
            request.put_leg(1, 1, Side.BUY, 1_000_000, 3_000_000)
            request.build(2, 1_790_000_000_000)

        rows["2 legs to a signed, authenticated body, prepared"] = prepared
    return {name: _median_ns(act) for name, act in rows.items()}


def _median_ns(act: Callable[[], object]) -> int:
    act()
    rounds = []
    for _ in range(ROUNDS):
        start = clock.monotonic_ns()
        for _ in range(CALLS):
            act()
        rounds.append((clock.monotonic_ns() - start) // CALLS)
    return int(statistics.median(rounds))
