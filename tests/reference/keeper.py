"""
What the keeper of the books must say, slowly: every token's books, states, reads and gate.

A frame is applied to plain dictionaries, and every check is made anew for every token after it.
Resynchronisation is not in here: what it must achieve is that the venue's own books come back.
"""

from collections import Counter

ONE = 10_000
GRAVITY = ("RESOLVED", "WARMING", "STALE", "CROSSED", "MIRROR_MISMATCH", "TOP_MISMATCH")
MISS = {
    "RESOLVED": "disabled",
    "WARMING": "not_ready",
    "STALE": "stale",
    "CROSSED": "crossed",
    "MIRROR_MISMATCH": "not_ready",
    "TOP_MISMATCH": "not_ready",
}


class Book:
    def __init__(self):
        self.updates = 0
        self.faults = {"WARMING"}
        self.clear()

    def clear(self):
        self.sides = {"BUY": {}, "SELL": {}}
        self.ready = False
        self.time_ms = self.snapshot_ms = self.recv_ns = 0

    def best(self, side):
        prices = self.sides[side]
        if not prices:
            return 0 if side == "BUY" else ONE
        return max(prices) if side == "BUY" else min(prices)

    @property
    def state(self):
        return next((fault for fault in GRAVITY if fault in self.faults), "LIVE")


class Keeper:
    """
    The whole of it.

    Args:
        pairs: Of tokens.
        drop_older: Whether late changes are left out, as with redundant connections.
    """

    def __init__(self, pairs, *, drop_older, max_stale_ms, timeout_ms, fraction):
        self.other = {a: b for pair in pairs for a, b in (pair, pair[::-1])}
        self.books = {token: Book() for pair in pairs for token in pair}
        self.lines = {}
        self.drop_older = drop_older
        self.max_stale_ns = max_stale_ms * 1_000_000
        self.timeout_ns, self.fraction = timeout_ms * 1_000_000, fraction
        self.disabled = {}
        self.served = Counter()
        self.waiting, self.total, self.gate, self.due_ns = set(), 0, "idle", None

    def carried(self, token):
        return any(token in tokens for tokens in self.lines.values())

    # -- the feed

    def up(self, number, tokens, now_ns):
        for token in tokens:
            if not self.carried(token) and "WARMING" not in self.books[token].faults:
                self.books[token].faults.add("STALE")
            self.lines.setdefault(number, set()).add(token)
        self.look(now_ns)

    def down(self, number, tokens, now_ns):
        for token in tokens:
            was = self.carried(token)
            self.lines.get(number, set()).discard(token)
            if was and not self.carried(token):
                book = self.books[token]
                book.faults = (book.faults & {"RESOLVED"}) | {"WARMING"}
                book.clear()
                self.books[self.other[token]].faults.discard("MIRROR_MISMATCH")
        self.look(now_ns)

    def frame(self, messages, now_ns):
        touched, expected = [], {}
        for message in messages:
            for token, entry in message:
                if token in self.books and self._apply(token, entry, now_ns):
                    touched.append(token)
                    expected.pop(token, None)  # said of the book before this entry
                    if "best_bid" in entry:
                        expected[token] = entry["best_bid"], entry["best_ask"]
        for token in dict.fromkeys(touched):
            book, twin = self.books[token], self.books[self.other[token]]
            crossed = (
                book.sides["BUY"] and book.sides["SELL"] and book.best("BUY") >= book.best("SELL")
            )
            self._set(book, "CROSSED", crossed)
            if token in expected:
                ours = book.best("BUY"), book.best("SELL")
                self._set(book, "TOP_MISMATCH", ours != expected[token])
            mirrored = {s: {ONE - p: n for p, n in twin.sides[s].items()} for s in twin.sides}
            wrong = (
                book.ready
                and twin.ready
                and (book.sides["BUY"], book.sides["SELL"]) != (mirrored["SELL"], mirrored["BUY"])
            )
            for each in (book, twin):
                self._set(each, "MIRROR_MISMATCH", wrong)
        self.look(now_ns)

    def _set(self, book, fault, wrong):
        (book.faults.add if wrong else book.faults.discard)(fault)

    def _apply(self, token, entry, now_ns):
        """Whether the checks are made again."""
        book, ms = self.books[token], entry["ms"]
        if entry["kind"] == "resolved":
            book.faults.add("RESOLVED")
            return True
        if "RESOLVED" in book.faults:
            return False
        if entry["kind"] == "book":
            if book.ready and ms < book.time_ms:
                return False
            book.sides = {side: dict(entry[side]) for side in ("BUY", "SELL")}
            book.ready, book.snapshot_ms = True, ms
            book.faults -= {"WARMING", "STALE", "TOP_MISMATCH"}
        else:
            if not book.ready or ms < book.snapshot_ms or (self.drop_older and ms < book.time_ms):
                return False
            side = book.sides[entry["side"]]
            side.pop(entry["price"], None)
            if entry["size"]:
                side[entry["price"]] = entry["size"]
        book.updates += 1
        book.recv_ns, book.time_ms = now_ns, ms
        return True

    # -- the gate

    def warm_up(self, now_ns):
        self.disabled = {t: why for t, why in self.disabled.items() if why != "warm-up"}
        self.waiting = self.books.keys() - self.disabled
        self.total, self.due_ns, self.gate = len(self.waiting), now_ns + self.timeout_ns, "warming"
        self.look(now_ns)

    def look(self, now_ns):
        self.waiting = {
            t for t in self.waiting if not self.carried(t) or self.books[t].state != "LIVE"
        }
        if self.gate == "warming" and self.total - len(self.waiting) >= self.total * self.fraction:
            self.gate = "open"

    def tick(self, now_ns):
        if self.due_ns is not None and now_ns >= self.due_ns:
            self.look(now_ns)
            self.due_ns = None
            self.gate = "settled" if self.gate == "open" else "failed"
            for token in self.waiting:
                self.disabled.setdefault(token, "warm-up")
            self.waiting = set()

    # -- reads

    def read(self, token, now_ns):
        """Return what a reader gets: ``(bid, ask, age)``, or why nothing."""
        found = self._read(token, now_ns)
        self.served[found if isinstance(found, str) else "hit"] += 1
        return found

    def _read(self, token, now_ns):
        if token in self.disabled:
            return "disabled"
        if token not in self.books:
            return "not_subscribed"
        book = self.books[token]
        if book.state == "WARMING" and not book.updates:
            return "never_seen"
        if book.state != "LIVE":
            return MISS[book.state]
        if now_ns - book.recv_ns > self.max_stale_ns:
            return "stale"
        return book.best("BUY") % ONE, book.best("SELL") % ONE, now_ns - book.recv_ns


class Watch:
    """Silences of one connection, from the whole history each time."""

    def __init__(self, *, alarms_per_hour, gap_ns, floor_ns, windows):
        self.alarms_per_hour, self.gap_ns, self.floor_ns = alarms_per_hour, gap_ns, floor_ns
        self.windows = windows
        self.history = []

    def note(self, what, now_ns, token=""):
        self.history.append((what, now_ns, token))

    def limit_s(self):
        """Return the limit in seconds, None if nothing is known."""
        clock = last = 0
        is_open, bursts = False, []
        for what, now_ns, token in self.history:
            if what == "closed":
                is_open = False
            elif what == "dropped":
                bursts = [burst for burst in bursts if burst[1] != token]
            else:
                if is_open:
                    clock += now_ns - last  # connected time
                is_open, last = True, now_ns
                if what == "seen" and (not bursts or clock - bursts[-1][0] >= self.gap_ns):
                    bursts = [*bursts, (clock, token)][-self.windows[-1] - 1 :]
        limits = []
        for k in self.windows:
            if len(bursts) > k:
                span = (bursts[-1][0] - bursts[-1 - k][0]) / 1e9
                chance = min(0.5, self.alarms_per_hour * span / k / 3600)
                limits.append(span * ((1 / chance) ** (1 / k) - 1))
        return max(self.floor_ns / 1e9, *limits) if limits else None
