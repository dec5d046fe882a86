"""The relayer's client: every wallet, every operation, every way a batch can go wrong."""

import asyncio
import json

import pytest
import relayrig
import simclient
from relayrig import CASH_E6, GROUP, UNIT, Rig
from simclient import KEYS, SECOND, Client

from polyarb.domain.settlement import Convert, Merge, Redeem
from polyarb.errors import CapacityError, DeniedError, UnreachableError, WalletMismatchError
from polyarb.exchange import calls
from polyarb.exchange.auth import Credentials
from polyarb.exchange.batches import sign_batch
from polyarb.exchange.contracts import POLYGON
from polyarb.exchange.relayer import BuilderKey, End, Limits, Relayer, RelayerKey
from polyarb.sim import rpc, signatures
from polyarb.sim.catalog import Market

every_wallet = pytest.mark.parametrize("kind", [1, 2, 3], ids=["PROXY", "SAFE", "WALLET"])
MINUTE = 60 * SECOND


def split(market: Market, amount: int = 10 * UNIT) -> calls.Call:
    return calls.split(market.condition_id, amount, neg_risk=market.neg_risk, v3=market.v3)


def merge(market: Market, amount: int = 10 * UNIT) -> calls.Call:
    return calls.merge(
        Merge(
            condition_id=market.condition_id,
            neg_risk=market.neg_risk,
            v3=market.v3,
            amount_e6=amount,
        )
    )


def convert(index_set: int, amount: int) -> calls.Call:
    return calls.convert(Convert(neg_risk_id=GROUP, index_set=index_set, amount_e6=amount))


def redeem(market: Market, amounts: tuple[int, int]) -> list[calls.Call]:
    return calls.redeem(
        Redeem(
            condition_id=market.condition_id,
            neg_risk=market.neg_risk,
            v3=market.v3,
            amounts_e6=amounts,
        )
    )


# What calls do


@every_wallet
def test_a_batch_of_every_wallet_splits_and_merges(kind):
    rig = Rig(kind)
    done = rig.do(split(rig.plain, 50 * UNIT))
    assert done.end is End.CONFIRMED
    assert done.final
    assert len(done.transaction_hash) == 66
    assert rig.sets(rig.plain) == (50 * UNIT, 50 * UNIT)
    done = rig.do(*map(merge, (rig.plain, rig.plain)), metadata="two at once")
    assert done.end is End.CONFIRMED
    assert rig.sets(rig.plain) == (30 * UNIT, 30 * UNIT)
    assert rig.cash_e6 == CASH_E6 - 30 * UNIT
    assert rig.nonce == 2


@every_wallet
def test_a_batch_converts_and_merges_on_a_neg_risk_event(kind):
    rig = Rig(kind)
    assert rig.do(split(rig.first), split(rig.second)).end is End.CONFIRMED
    # NO of the first two: one collateral and YES of the third, less 1%; then the YES again.
    assert rig.do(convert(0b011, 10 * UNIT)).end is End.CONFIRMED
    assert rig.cash_e6 == CASH_E6 - 20 * UNIT + 9_900_000
    assert rig.sets(rig.first) == (10 * UNIT, 0)
    assert rig.sets(rig.third) == (9_900_000, 0)


@every_wallet
def test_a_v3_market_splits_merges_and_redeems_through_the_router(kind):
    rig = Rig(kind)
    assert rig.do(split(rig.v3), merge(rig.v3, 4 * UNIT)).end is End.CONFIRMED
    rig.venue.resolve(rig.v3.event, [0])
    assert rig.do(*redeem(rig.v3, (6 * UNIT, 6 * UNIT))).end is End.CONFIRMED
    assert rig.sets(rig.v3) == (0, 0)
    assert rig.cash_e6 == CASH_E6


@every_wallet
def test_a_resolved_market_is_redeemed(kind):
    rig = Rig(kind)
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    rig.venue.resolve(rig.plain.event, [1])
    assert rig.do(*redeem(rig.plain, (10 * UNIT, 10 * UNIT))).end is End.CONFIRMED
    assert rig.cash_e6 == CASH_E6


@every_wallet
def test_approvals_are_given_and_taken_back(kind):
    rig = Rig(kind)
    rig.do(calls.approve(POLYGON.adapter, 0), calls.approve_tokens(POLYGON.adapter, False))
    assert rig.do(split(rig.plain)).end is End.FAILED
    rig.do(calls.approve(POLYGON.adapter))
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    failed = rig.do(merge(rig.plain))
    assert failed.end is End.FAILED
    assert "is not approved for the tokens" in failed.reason
    assert rig.do(calls.approve_tokens(POLYGON.adapter), merge(rig.plain)).end is End.CONFIRMED


@every_wallet
def test_a_new_wallet_approves_once_all_that_it_trades_and_settles_with(kind):
    rig = Rig(kind)
    rig.ann.wallet.approved = (set(), set())
    assert rig.ann.post("/order", rig.ann.order(rig.plain.tokens[0])).status == 400
    assert rig.do(*calls.approvals()).end is End.CONFIRMED
    markets = (rig.plain, rig.first, rig.second, rig.v3)
    assert rig.do(*map(split, markets), convert(0b011, UNIT)).end is End.CONFIRMED
    for market in (rig.plain, rig.first, rig.v3):
        rig.ann.place(market.tokens[0], size="6")
        rig.ann.place(market.tokens[1], side="SELL", size="6")
    assert rig.do(*(merge(market, UNIT) for market in markets)).end is End.CONFIRMED


@every_wallet
def test_of_a_batch_that_reverts_nothing_happens_and_its_nonce_is_used_again(kind):
    rig = Rig(kind)
    failed = rig.do(split(rig.plain), merge(rig.plain, 11 * UNIT))
    assert failed.end is End.FAILED
    assert "complete sets" in failed.reason
    assert rig.cash_e6 == CASH_E6
    assert (failed.batch.nonce, rig.nonce) == (0, 0)
    assert rig.do(split(rig.plain)).batch.nonce == 0


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_a_wallet_is_known_to_be_deployed(kind):
    rig = Rig(kind)
    assert rig.run(rig.relayer.deployed()) is True
    rig.venue.chain.deployed.clear()
    assert rig.run(rig.relayer.deployed()) is (kind != 3)


def test_an_eoa_has_no_relayer():
    rig = Rig(3)
    eoa = relayrig.OrderSigner(KEYS[0])
    with pytest.raises(WalletMismatchError, match="pays gas in POL"):
        Relayer(rig.port, eoa, rig.key, pace=rig.pace)


def test_a_batch_that_cannot_be_leaves_nothing_behind():
    rig = Rig()
    with pytest.raises(CapacityError, match="0 calls"):
        rig.do()
    assert rig.posts() == 0
    assert not rig.relayer.busy


# Who asks


@pytest.mark.parametrize("prefix", ["", "/relayer"])
def test_a_builder_signs_every_request(prefix):
    made = Rig().ann.credential
    key = BuilderKey(Credentials(made.key, made.secret, made.passphrase))
    rig = Rig(key=key, prefix=prefix)
    assert rig.ann.credential.key == made.key
    assert rig.do(split(rig.plain)).end is End.CONFIRMED


def test_a_key_that_nobody_knows_is_denied_before_anything_leaves():
    rig = Rig(key=RelayerKey("someone-elses", relayrig.OrderSigner(KEYS[1]).address))
    with pytest.raises(DeniedError, match=r"401 .*Invalid API key"):
        rig.do(split(rig.plain))
    assert rig.posts() == 0


def test_no_key_is_ever_shown():
    made = Rig().ann.credential
    assert made.key not in repr(RelayerKey(made.key, relayrig.OrderSigner(KEYS[0]).address))
    builder = repr(BuilderKey(Credentials(made.key, made.secret, made.passphrase)))
    assert made.secret not in builder
    assert made.passphrase not in builder


# One after the other


def test_two_batches_of_one_wallet_follow_each_other():
    rig = Rig()

    async def both():
        return await asyncio.gather(
            rig.relayer.carry_out([split(rig.plain)]), rig.relayer.carry_out([split(rig.first)])
        )

    assert [done.end for done in rig.run(both())] == [End.CONFIRMED] * 2
    assert rig.posts() == 2  # neither was ever told that the wallet is busy


def test_every_batch_is_noted_before_it_leaves_and_when_it_has_a_name():
    rig = Rig()
    at: list[tuple[str, int]] = []
    rig.run(
        rig.relayer.carry_out(
            [split(rig.plain)], note=lambda b: at.append((b.transaction_id, rig.posts()))
        )
    )
    assert at[0] == ("", 0)
    assert at[1][0] in rig.venue.chain.transactions
    assert len(at) == 2


def test_a_batch_that_cannot_be_noted_does_not_leave():
    rig = Rig()

    def full(_batch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        rig.run(rig.relayer.carry_out([split(rig.plain)], note=full))
    assert rig.posts() == 0
    assert rig.do(split(rig.plain)).end is End.CONFIRMED


def test_the_25_of_a_minute_are_waited_for_and_not_exceeded():
    rig = Rig(relayer_ms=1, limits=Limits(poll_ns=SECOND // 100))
    start_ns = rig.venue.now_ns
    assert rig.relayer.submissions_left() == 25
    for _ in range(26):
        assert rig.do(split(rig.plain, UNIT)).end is End.CONFIRMED
    assert rig.posts() == 26  # none was refused
    assert rig.venue.now_ns - start_ns >= MINUTE
    assert rig.relayer.submissions_left() > 0


def test_a_quota_that_others_used_is_waited_for_as_told():
    rig = Rig(relayer_ms=1)
    rig.venue.chain.submissions["local"].extend([rig.venue.now_ns] * 25)
    start_ns = rig.venue.now_ns
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert MINUTE <= rig.venue.now_ns - start_ns < MINUTE + 10 * SECOND
    assert rig.posts() == 2


# What is not taken


@every_wallet
def test_a_busy_wallet_is_waited_for(kind):
    rig = Rig(kind)
    other = relayrig.Relayer(rig.port, rig.signer, rig.key, pace=rig.pace, prefix="/relayer")

    async def both():
        first = asyncio.create_task(other.carry_out([split(rig.plain)]))
        await rig.pace.sleep(SECOND // 10)
        return await rig.relayer.carry_out([split(rig.first)]), await first

    assert [done.end for done in rig.run(both())] == [End.CONFIRMED] * 2
    assert rig.sets(rig.first) == rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)
    assert rig.posts() > 2


def test_a_wallet_that_stays_busy_is_given_up_and_nothing_happened():
    rig = Rig(limits=Limits(tries=3))
    rig.fault("relayer_busy")
    done = rig.do(split(rig.plain))
    assert done.end is End.BUSY
    assert done.reason.startswith("3 times: Busy")
    assert rig.transactions() == 0


def test_a_nonce_that_lags_is_signed_again_at_once():
    rig = Rig()
    assert rig.do(split(rig.plain)).end is End.CONFIRMED

    async def old():
        return "", 0

    rig.relayer.turn = old
    done = rig.do(split(rig.plain))
    assert (done.end, done.batch.nonce) == (End.CONFIRMED, 1)
    assert [b.nonce for b in rig.noted] == [0, 0, 0, 1, 1]


def test_a_nonce_ahead_of_the_chain_is_read_again():
    rig = Rig()
    told = iter([5, 5, 0])

    async def ahead():
        return "", next(told)

    rig.relayer.turn = ahead
    done = rig.do(split(rig.plain))
    assert (done.end, done.batch.nonce) == (End.CONFIRMED, 0)


def test_a_refusal_is_final_and_in_the_relayers_words():
    rig = Rig()
    rig.venue.chain.deployed.clear()
    done = rig.do(split(rig.plain))
    assert done.end is End.REFUSED
    assert "wallet registry validation failed" in done.reason
    assert rig.posts() == 1


def test_a_wallet_of_another_key_is_refused():
    rig = Rig()
    rig.relayer._signer = relayrig.OrderSigner(KEYS[1], signature_type=3, funder=rig.signer.funder)
    assert rig.do(split(rig.plain)).end is End.REFUSED
    assert rig.transactions() == 0


def test_reads_that_fail_are_repeated_and_then_the_batch_does_not_leave():
    rig = Rig()
    rig.port.deaf_until_ns = rig.venue.now_ns + 3 * SECOND
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    rig.port.deaf_until_ns = rig.venue.now_ns + 10 * MINUTE
    with pytest.raises(UnreachableError, match="nobody hears"):
        rig.do(split(rig.plain))
    assert rig.posts() == 1


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_read_of_another_kind_of_error_is_repeated(status):
    rig = Rig()
    rig.fault(
        "error", status=status, match={"path": "/relayer/v1/account/transactions/params"}, count=2
    )
    assert rig.do(split(rig.plain)).end is End.CONFIRMED


# What is lost


@every_wallet
def test_a_submission_whose_answer_is_lost_happens_once(kind):
    rig = Rig(kind)
    rig.port.lose = 1
    done = rig.do(split(rig.plain))
    assert done.end is End.USED
    assert rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)
    assert rig.transactions() == 1
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert rig.nonce == 2


@every_wallet
def test_a_submission_that_never_arrived_is_offered_again_as_it_was(kind):
    rig = Rig(kind)
    rig.port.drop = 1
    done = rig.do(split(rig.plain))
    assert done.end is End.CONFIRMED
    first, second = rig.port.bodies
    assert first == second
    assert rig.transactions() == 1
    assert rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)


@every_wallet
@pytest.mark.parametrize("lost", range(2, 5))
def test_however_many_answers_are_lost_it_happens_once(kind, lost):
    rig = Rig(kind)
    rig.fault("relayer_slow", seconds=15)
    rig.port.lose = lost
    done = rig.do(split(rig.plain))
    assert done.end in {End.USED, End.CONFIRMED}
    assert rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)
    assert (rig.nonce, rig.transactions()) == (1, 1)
    assert len(set(rig.port.bodies)) == 1


@every_wallet
def test_a_lost_batch_that_keeps_the_wallet_busy_is_waited_for(kind):
    rig = Rig(kind)
    rig.fault("relayer_slow", seconds=60)
    rig.port.lose = 1
    assert rig.do(split(rig.plain)).end is End.USED
    assert rig.posts() > 3  # it was offered again, and each time the wallet was busy
    assert rig.transactions() == 1


@every_wallet
def test_a_batch_of_somebody_else_with_its_nonce_is_not_taken_for_it(kind):
    """Ours never arrived; another process of the same owner was faster. Balances tell."""
    rig = Rig(kind)
    other = Relayer(rig.port, rig.signer, rig.key, pace=rig.pace, prefix="/relayer")

    async def both():
        rig.port.drop = 1
        ours = asyncio.create_task(rig.relayer.carry_out([split(rig.plain)]))
        await rig.pace.sleep(SECOND)
        return await other.carry_out([split(rig.first)]), await ours

    theirs, ours = rig.run(both())
    assert (theirs.end, ours.end) == (End.CONFIRMED, End.USED)
    assert ours.batch.nonce == theirs.batch.nonce == 0
    assert rig.sets(rig.plain) == (0, 0)


@every_wallet
def test_a_refusal_by_the_key_says_nothing_about_the_first_copy(kind):
    rig = Rig(kind)
    rig.port.drop = 1
    rig.fault("error", status=403, match={"path": "/relayer/submit"}, count=1)
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert rig.posts() == 3


def test_a_deadline_that_has_passed_there_says_nothing_about_the_first_copy():
    """The relayer's clock is ahead of ours; the first copy was in time."""
    rig = Rig()
    rig.port.lose = 1
    rig.fault("relayer_slow", seconds=20)
    text = "deadline 5 has passed"

    async def act():
        asking = asyncio.create_task(rig.relayer.carry_out([split(rig.plain)]))
        await rig.pace.sleep(SECOND)
        rig.fault("error", status=400, text=text, match={"path": "/relayer/submit"})
        return await asking

    assert rig.run(act()).end is End.USED
    assert rig.transactions() == 1


@every_wallet
def test_an_error_after_the_batch_was_taken_is_looked_up_as_well(kind):
    rig = Rig(kind)
    rig.fault("accepted_then_500", match={"path": "/relayer/submit"}, count=1)
    assert rig.do(split(rig.plain)).end is End.USED
    assert rig.transactions() == 1


def test_a_lost_batch_that_is_refused_when_offered_again_was_refused_before():
    rig = Rig()
    rig.venue.chain.deployed.clear()
    rig.port.lose = 1
    assert rig.do(split(rig.plain)).end is End.REFUSED
    assert rig.transactions() == 0


@every_wallet
def test_a_lost_batch_that_reverts_is_seen_to_fail(kind):
    rig = Rig(kind)
    rig.port.lose = 1
    assert rig.do(merge(rig.plain)).end is End.FAILED
    assert rig.nonce == 0


def test_a_deposit_wallets_lost_batch_expires():
    """Nobody takes it before its deadline, and nobody can after: it is not offered any more."""
    rig = Rig(limits=Limits(deadline_s=60))
    rig.port.drop = 100
    start_ns = rig.venue.now_ns
    done = rig.do(split(rig.plain))
    assert done.end is End.EXPIRED
    assert rig.venue.now_ns - start_ns > 3 * MINUTE
    assert rig.posts() == 1 + 6
    rig.port.drop = 0
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)


def test_a_batch_that_was_mined_in_time_is_watched_to_its_end():
    """It is mined after 8 s, and its deadline and the margin are over at 9 s."""
    rig = Rig(limits=Limits(deadline_s=6, margin_ns=3 * SECOND), relayer_ms=4_000)
    assert rig.do(split(rig.plain)).end is End.CONFIRMED


def test_a_relayer_that_cannot_be_reached_was_not_asked():
    rig = Rig(limits=Limits(tries=2))
    rig.port.refuse = 1
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    rig.port.refuse = 2
    done = rig.do(split(rig.plain))
    assert done.end is End.BUSY
    assert "no connection" in done.reason


def test_what_cannot_be_found_out_stays_undecided_and_can_be_followed():
    rig = Rig(2, limits=Limits(patience_ns=MINUTE))
    rig.port.lose = 1
    rig.port.deaf_until_ns = rig.venue.now_ns + 1  # only the first read succeeds

    async def lose_touch():
        rig.port.deaf_until_ns = 0
        return await rig.relayer.carry_out([split(rig.plain)], note=cut)

    def cut(batch):
        rig.noted.append(batch)
        rig.port.deaf_until_ns = rig.venue.now_ns + 5 * MINUTE

    done = rig.run(lose_touch())
    assert done.end is End.UNDECIDED
    assert not done.final
    rig.port.deaf_until_ns = 0
    assert rig.run(rig.relayer.follow(done.batch)).end is End.USED
    assert rig.sets(rig.plain) == (10 * UNIT, 10 * UNIT)


@every_wallet
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("seconds", [0, 1, 5])
def test_a_client_that_starts_anew_finds_out_what_became_of_a_batch(kind, named, seconds):
    """The process died with a batch noted: unnamed it may have left or not."""
    rig = Rig(kind)
    relay, nonce = rig.run(rig.relayer.turn())
    deadline_s = rig.venue.now_ns // SECOND + 600
    batch = sign_batch(
        rig.signer, [split(rig.plain)], nonce=nonce, deadline_s=deadline_s, relay=relay
    )
    headers = rig.key.headers("POST", "/submit", batch.body, 0)
    answer = rig.run(rig.port.request("POST", "/relayer/submit", headers=headers, body=batch.body))
    if named:
        batch = batch.named(json.loads(answer.body)["transactionID"])
    rig.venue.advance(rig.venue.now_ns + seconds * SECOND)
    done = rig.run(rig.relayer.follow(batch))
    assert done.end is (End.CONFIRMED if named else End.USED)
    assert rig.transactions() == 1


@every_wallet
def test_a_client_that_starts_anew_sends_what_never_left(kind):
    rig = Rig(kind)
    relay, nonce = rig.run(rig.relayer.turn())
    batch = sign_batch(
        rig.signer,
        [split(rig.plain)],
        nonce=nonce,
        deadline_s=rig.venue.now_ns // SECOND + 600,
        relay=relay,
    )
    assert rig.run(rig.relayer.follow(batch)).end is End.CONFIRMED


# What goes wrong later


@every_wallet
@pytest.mark.parametrize("state", ["STATE_FAILED", "STATE_INVALID"])
def test_a_batch_that_fails_says_so_and_the_next_one_works(kind, state):
    rig = Rig(kind)
    rig.fault("relayer_failed", state=state, count=1)
    failed = rig.do(split(rig.plain))
    assert failed.end is End.FAILED
    assert state in failed.reason
    assert rig.cash_e6 == CASH_E6
    assert rig.do(split(rig.plain)).end is End.CONFIRMED


@every_wallet
def test_a_slow_chain_is_waited_for(kind):
    rig = Rig(kind)
    rig.fault("relayer_slow", seconds=90)
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert rig.posts() == 1


def test_a_stuck_batch_is_undecided_and_later_followed():
    rig = Rig(2)
    rig.fault("relayer_slow", seconds=1200)
    stuck = rig.do(split(rig.plain))
    assert stuck.end is End.UNDECIDED
    assert stuck.reason == "state STATE_NEW"
    ends = [rig.run(rig.relayer.follow(stuck.batch)).end for _ in range(4)]
    assert ends == [End.UNDECIDED] * 3 + [End.CONFIRMED]
    assert rig.transactions() == 1


def test_a_deposit_wallets_stuck_batch_dies_with_its_deadline():
    rig = Rig()
    rig.fault("relayer_slow", seconds=1200, count=1)
    stuck = rig.do(split(rig.plain))
    assert stuck.end is End.EXPIRED
    rig.venue.advance(rig.venue.now_ns + 20 * MINUTE)
    assert rig.cash_e6 == CASH_E6


def test_a_relayer_that_forgot_a_name_is_asked_for_the_nonce():
    rig = Rig(2)
    done = rig.do(split(rig.plain))
    forgotten = done.batch.named("never-heard-of")
    assert rig.run(rig.relayer.follow(forgotten)).end is End.USED


@every_wallet
def test_a_copy_that_failed_does_not_hide_that_the_other_went_through(kind):
    rig = Rig(kind)
    rig.fault("relayer_failed", count=1)
    failed = rig.do(split(rig.plain))
    assert rig.do(split(rig.plain)).end is End.CONFIRMED
    assert (failed.end, failed.batch.nonce) == (End.FAILED, 0)
    assert rig.run(rig.relayer.follow(failed.batch)).end is End.USED


@pytest.mark.parametrize("named", [False, True])
def test_a_key_that_is_revoked_while_a_batch_is_under_way_leaves_it_undecided(named):
    rig = Rig(limits=Limits(patience_ns=MINUTE))
    held = dict(rig.venue.accounts.keys)
    rig.port.lose = int(not named)

    def revoke(batch):
        if batch.transaction_id or not named:
            rig.venue.schedule(rig.venue.now_ns + SECOND, rig.venue.accounts.keys.clear)

    done = rig.run(rig.relayer.carry_out([split(rig.plain)], note=revoke))
    assert done.end is End.UNDECIDED
    rig.venue.accounts.keys.update(held)
    found = rig.run(rig.relayer.follow(done.batch)).end
    assert found is (End.CONFIRMED if named else End.USED)


def test_storms_never_do_a_batch_twice():
    """Busy, slow, failing, and every third answer lost: amounts add up to what was reported."""
    for seed in range(12):
        rig = Rig(1 + seed % 3)
        rig.venue.faults.venue.seed = seed
        for name, values in (
            ("relayer_busy", {}),
            ("relayer_slow", {"seconds": 7}),
            ("relayer_failed", {}),
        ):
            rig.venue.faults.add({"name": name, "values": values, "probability": 0.3})
        sure = unsure = 0
        for step in range(8):
            rig.port.lose, rig.port.drop = int((seed + step) % 3 == 0), int((seed + step) % 5 == 0)
            before = rig.sets(rig.plain)[0]
            end = rig.do(split(rig.plain, UNIT)).end
            made = rig.sets(rig.plain)[0] - before
            assert made in (
                {UNIT} if end is End.CONFIRMED else {0, UNIT} if end is End.USED else {0}
            )
            sure += end is End.CONFIRMED
            unsure += end is End.USED
        assert rig.nonce == sure + unsure, f"seed {seed}"
        assert sure + unsure


# What no relayer carries


def test_an_eoas_calls_are_transactions_that_a_node_takes():
    """The owner signs them (EIP-155, as the yellow paper's RLP) and pays for the gas."""
    floor = Client(simclient.venue(), KEYS[0], 0, cash_e6=CASH_E6)
    market = next(iter(floor.venue.catalog.markets.values()))
    for nonce, call in enumerate((split(market), merge(market, 4 * UNIT))):
        sent = calls.transaction(signatures.checksum(floor.eoa), call)
        fields = [nonce, rpc.GAS_PRICE, rpc.GAS]
        words = [number.to_bytes(8, "big").lstrip(b"\0") for number in fields]
        body = [*words, bytes.fromhex(sent["to"][2:]), b"", bytes.fromhex(sent["data"][2:])]
        signed = floor.sign_digest(signatures.keccak(rpc._rlp([*body, b"\x89", b"", b""])))
        v = signed[64] - 27 + 35 + 2 * 137
        parts = (v.to_bytes(2, "big"), signed[:32].lstrip(b"\0"), signed[32:64].lstrip(b"\0"))
        raw = "0x" + rpc._rlp([*body, *parts]).hex()
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
        answer = json.loads(floor.post("/rpc", asked, auth=False).body)
        assert "result" in answer, answer
        simclient.run(floor.venue, floor.venue.now_ns + 10 * SECOND)
    assert [floor.wallet.tokens(token) for token in market.tokens] == [6 * UNIT, 6 * UNIT]
