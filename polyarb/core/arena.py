"""
The arena: one mapped block that holds all state, and who may own it.

``csrc/base/arena.c`` lays a block out and judges it; this module maps it and guards it.
Nobody ever sees half an arena: a file is built and locked under another name, then linked to
its own. Of all processes at most one owns a file, by a lock that the kernel drops with the
process, a SIGKILL included. The owner's words in the header only tell people who it is.

Fork: an anonymous arena is how forked children share one. A child's inherited Arena stays mapped
and writable, as if it had called `Arena.operate`, but is no owner, and neither its close nor its
life touches its parent's ownership: if the parent dies, the next owner can take over at once.
"""

import dataclasses
import fcntl
import importlib.metadata
import mmap
import os
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from polyarb import clock, errors
from polyarb._core import ffi, lib
from polyarb.core import base

ATTEMPT_COUNT_MAX: Final = 8
"""How often `Arena.own` starts again because the path came to name another file."""

DEPTH_DEFAULT: Final = 10
"""Levels a side that readers see, unless the configuration says otherwise."""

OPEN_FLAGS: Final = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
"""A pipe or terminal at the path is refused, not waited for; nothing crosses an exec."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaConfig:
    """
    What an arena is laid out for; fixed for its life.

    Attributes:
        histogram_count: Latency histograms, 1..256.
        token_count: Tokens whose books fit, 0..262144; 0: no books.
        depth: Levels a side that readers see, 1..56; 0 gives 10 if there are books.
        ladder_pages: Memory for the ladders in pages of 4 KB, 1..1048576; 0 gives 2 KB a token
            and 1 MB more, enough for books of 80 levels at any tick (bench/README.md).
        relation_count: Relations that fit, 0..262144; 0: none. They need books.
        leg_count: Legs of all of them, 2..4194304; 0 gives 8 a relation.
        opportunity_count: Places in the ring of opportunities, a power of two up to 262144; 0
            gives one for each relation, so that it is never full.

    Raises:
        ArgumentTypeError: Not an int.
        RangeError: Outside its range; the message names the setting.
    """

    histogram_count: int = 32
    token_count: int = 0
    depth: int = 0
    ladder_pages: int = 0
    relation_count: int = 0
    leg_count: int = 0
    opportunity_count: int = 0

    def __post_init__(self) -> None:
        base.integer("arena.histogram_count", self.histogram_count, 1, lib.PA_HISTOGRAMS_MAX)
        base.integer("arena.token_count", self.token_count, 0, lib.PA_TOKENS_MAX)
        books = self.token_count > 0
        base.integer("arena.depth", self.depth, 0, lib.PA_DEPTH_MAX if books else 0)
        most = lib.PA_LADDER_PAGES_MAX if books else 0
        base.integer("arena.ladder_pages", self.ladder_pages, 0, most)
        if books and self.depth == 0:
            object.__setattr__(self, "depth", DEPTH_DEFAULT)
        if books and self.ladder_pages == 0:
            object.__setattr__(self, "ladder_pages", 256 + -(-self.token_count // 2))
        self._check_relations(books)

    def _check_relations(self, books: bool) -> None:
        most = lib.PA_RELATIONS_MAX
        base.integer("arena.relation_count", self.relation_count, 0, most if books else 0)
        scan = self.relation_count > 0
        base.integer("arena.leg_count", self.leg_count, 0, lib.PA_LEGS_MAX if scan else 0)
        ring = base.integer("arena.opportunity_count", self.opportunity_count, 0, most * scan)
        if ring & (ring - 1):
            raise errors.RangeError(f"arena.opportunity_count {ring} is not a power of two")
        if scan and self.leg_count == 0:
            object.__setattr__(self, "leg_count", min(lib.PA_LEGS_MAX, 8 * self.relation_count))
        if scan and self.leg_count < 2:
            raise errors.RangeError("arena.leg_count 1: a relation has 2 legs or more")
        if scan and ring == 0:
            places = 1 << (self.relation_count - 1).bit_length()
            object.__setattr__(self, "opportunity_count", places)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArenaInfo:
    """
    A copy of an arena's header.

    Attributes:
        bytes: Of the whole block.
        layout_version: PA_LAYOUT_VERSION of the build that laid it out.
        build: That build's name and version.
        created_unix_ns: Wall clock at creation.
        owner_pid: 0 if nobody owns it; one that no longer runs ended without closing it.
        owner_start: When the owner started, in clock ticks since boot (proc(5), field 22):
            tells it from a later process of the same pid.
        owner_epoch: How often the arena has been owned.
        config: What it is laid out for.
    """

    bytes: int
    layout_version: int
    build: str
    created_unix_ns: int
    owner_pid: int
    owner_start: int
    owner_epoch: int
    config: ArenaConfig


class Arena:
    """
    A mapped arena. Made by `create`, `attach`, `own` or `operate`; a context manager.

    Keep it open for as long as its words are used. Any failure but a wrong argument is an
    ArenaError that names the file: ArenaForeignError, ArenaVersionError, ArenaTruncatedError,
    ArenaCorruptError, ArenaOwnedError, or ArenaAccessError with the system's reason.
    """

    def __init__(
        self, path: Path | None, block: Any, *, writable: bool, ownership: "_Ownership | None"
    ) -> None:
        self._path = path
        self._block: Any = block
        self._writable = writable
        self._ownership = ownership

    @classmethod
    def create(cls, path: Path | str | None = None, *, config: ArenaConfig | None = None) -> Self:
        """
        Lay out a new arena and own it.

        Args:
            path: The file to make, on disk or in /dev/shm, readable by this user only; None
                for anonymous memory, which only forked children share.
            config: Its capacities; None for the defaults.

        Raises:
            ArgumentTypeError: A wrong type.
            ArenaAccessError: `path` exists already (which stays as it is), or the system
                refuses, a lack of space included. Nothing is left at `path`.
        """
        wanted = _config_struct(ArenaConfig() if config is None else config)
        if path is None:
            size = _size_of(wanted)
            with _access("anonymous arena"):
                block = ffi.from_buffer("uint8_t[]", mmap.mmap(-1, size))
            _lay_out(block, wanted)
            return cls(None, block, writable=True, ownership=_Ownership(None))
        path = _checked(path)
        block, ownership = _create_file(path, wanted)
        return cls(path, block, writable=True, ownership=ownership)

    @classmethod
    def attach(cls, path: Path | str) -> Self:
        """Map an existing arena read-only, whoever owns it. Raises ArenaError."""
        path = _checked(path)
        with _opened(path, os.O_RDONLY) as descriptor:
            return cls(path, _map_judged(path, descriptor), writable=False, ownership=None)

    @classmethod
    def operate(cls, path: Path | str) -> Self:
        """Map an existing arena for writing, not owning it: the halt switch. Raises ArenaError."""
        path = _checked(path)
        with _opened(path, os.O_RDWR) as descriptor:
            block = _map_judged(path, descriptor, writable=True)
        return cls(path, block, writable=True, ownership=None)

    @classmethod
    def own(cls, path: Path | str) -> Self:
        """
        Map an existing arena for writing, as its owner from now on.

        Raises:
            ArenaOwnedError: It has a living owner, named by pid.
            ArenaError: Any other failure; whatever owned it before is not disturbed.
        """
        path = _checked(path)
        block, ownership = _take(path)
        _write_owner(block)
        return cls(path, block, writable=True, ownership=ownership)

    @property
    def path(self) -> Path | None:
        """The file as it was named; None if anonymous."""
        return self._path

    @property
    def writable(self) -> bool:
        """Whether views may change it; a store into a read-only map would kill the process."""
        return self._block is not None and self._writable

    @property
    def is_owner(self) -> bool:
        """Whether this process owns it through this object; never in a forked child."""
        return self._ownership is not None and self._ownership.held

    @property
    def info(self) -> ArenaInfo:
        """A copy of the header now. Raises ArenaAccessError if closed."""
        out = ffi.new("pa_arena_info *")
        lib.pa_arena_read_info(_handle(self._open_block()), out)
        return ArenaInfo(
            bytes=out.bytes,
            layout_version=out.layout_version,
            build=ffi.string(out.build).decode("utf-8", "replace"),
            created_unix_ns=out.created_unix_ns,
            owner_pid=out.owner_pid,
            owner_start=out.owner_start,
            owner_epoch=out.owner_epoch,
            config=ArenaConfig(
                histogram_count=out.config.histogram_count,
                token_count=out.config.token_count,
                depth=out.config.depth,
                ladder_pages=out.config.ladder_pages,
                relation_count=out.config.relation_count,
                leg_count=out.config.leg_count,
                opportunity_count=out.config.opportunity_count,
            ),
        )

    def section(self, which: int, ctype: str = "void *") -> Any:
        """
        Return where section `which` (PA_SECTION_*) starts, as a pointer of C type `ctype`.

        For the modules of this folder. The block stays mapped while the result lives, even if
        the arena is closed; a cast or a sum of it does not keep the block. Whoever stores
        through it asks `writable` first.

        Raises:
            ArgumentTypeError, RangeError: No such section.
            ArenaAccessError: Closed.
        """
        base.integer("section", which, 0, lib.PA_SECTION_COUNT - 1)
        block = self._open_block()
        start = lib.pa_arena_at(_handle(block), which)
        return ffi.gc(ffi.cast(ctype, start), partial(_let_go, block))

    def handle(self) -> Any:
        """
        Return the block as a ``pa_arena *``, for the modules of this folder.

        As with `section`: the block stays mapped while the result lives. ArenaAccessError: closed.
        """
        block = self._open_block()
        return ffi.gc(_handle(block), partial(_let_go, block))

    def close(self) -> None:
        """
        Give up ownership and the map; views that live keep the memory. Again: no effect.

        An owner that ends in any other way gives up ownership too, but its pid stays in the
        header, for the post-mortem.
        """
        if self.is_owner:  # the words first: after the lock they may be a successor's
            lib.pa_arena_disown(_handle(self._block))
        if self._ownership is not None:
            self._ownership.release()
        self._ownership = None
        self._block = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_block(self) -> Any:
        if self._block is None:
            raise errors.ArenaAccessError(f"{self._path or 'anonymous arena'}: is closed")
        return self._block


class _Ownership:
    """
    The right of this process to be the owner, until released.

    For a file: an exclusive flock on a descriptor of its own, since mmap keeps a duplicate of
    the one it is given and a lock outlives all but its last duplicate. A forked child has one
    as well: it closes it first thing, and only the owner's process ever unlocks.
    """

    __slots__ = ("__weakref__", "_descriptor", "_pid")

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._pid = os.getpid()
        if descriptor is not None:
            os.register_at_fork(after_in_child=partial(_release, weakref.ref(self)))

    @classmethod
    def of_file(cls, path: Path, name: Path) -> Self:
        """Lock the file at `path`, called `name` in messages. ArenaOwnedError, ArenaAccessError."""
        with _access(name), ExitStack() as undo:
            descriptor = os.open(path, os.O_RDWR | OPEN_FLAGS)
            undo.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise errors.ArenaOwnedError(f"{name}: is owned by {_owner_of(path)}") from error
            undo.pop_all()
        return cls(descriptor)

    @property
    def held(self) -> bool:
        return self._pid == os.getpid()

    def locks(self, descriptor: int) -> bool:
        """Whether the lock is on the file that `descriptor` has open."""
        return self._descriptor is not None and os.path.sameopenfile(self._descriptor, descriptor)

    def release(self) -> None:
        """Unlock, if this process is the owner; close this process's descriptor in any case."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            if self.held:  # at once, even if a child between fork and exec has a duplicate
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
        self._pid = 0

    def __del__(self) -> None:
        self.release()


def _release(reference: "weakref.ref[_Ownership]") -> None:
    ownership = reference()
    if ownership is not None:
        ownership.release()


def _let_go(block: Any, _pointer: Any) -> None:
    """Do nothing: to hold this function with its `block` is what keeps the block mapped."""


def _create_file(path: Path, wanted: Any) -> tuple[Any, _Ownership]:
    """Build an owned arena under a passing name; link it to `path` when it is whole."""
    size = _size_of(wanted)
    with _access(path), ExitStack() as undo:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".polyarb-", suffix=".new")
        undo.callback(os.unlink, temporary)
        undo.callback(os.close, descriptor)
        os.posix_fallocate(descriptor, 0, size)  # a full disk is an error now, not a SIGBUS later
        block = ffi.from_buffer("uint8_t[]", mmap.mmap(descriptor, size))
        _lay_out(block, wanted)
        with ExitStack() as unlock:
            ownership = _Ownership.of_file(Path(temporary), path)
            unlock.callback(ownership.release)
            try:
                os.link(temporary, path)
            except FileExistsError as error:
                raise errors.ArenaAccessError(
                    f"{path}: exists already; own it, or remove it first"
                ) from error
            unlock.pop_all()
        return block, ownership


def _take(path: Path) -> tuple[Any, _Ownership]:
    """Lock the file at `path`, then map it: the same file both times."""
    for _ in range(ATTEMPT_COUNT_MAX):
        with ExitStack() as unlock:
            ownership = _Ownership.of_file(path, path)
            unlock.callback(ownership.release)
            with _opened(path, os.O_RDWR) as descriptor:
                if ownership.locks(descriptor):
                    block = _map_judged(path, descriptor, writable=True)
                    unlock.pop_all()
                    return block, ownership
    raise errors.ArenaAccessError(f"{path}: was replaced at each of {ATTEMPT_COUNT_MAX} tries")


def _map_judged(path: Path, descriptor: int, *, writable: bool = False) -> Any:
    """Map a whole file and return it as bytes, if it is an arena of this build's layout."""
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    with _access(path):
        file = os.fstat(descriptor)
        if not stat.S_ISREG(file.st_mode):
            kind = "a directory" if stat.S_ISDIR(file.st_mode) else "no regular file"
            raise errors.ArenaAccessError(f"{path}: is {kind}")
        if file.st_size == 0:  # what mmap refuses
            raise errors.ArenaTruncatedError(f"{path}: file has 0 bytes, less than a header")
        block = ffi.from_buffer("uint8_t[]", mmap.mmap(descriptor, file.st_size, prot=protection))
    _judge(path, block)
    return block


def _judge(path: Path, block: Any) -> None:
    status = lib.pa_arena_check(block, len(block))
    version, stated = ffi.new("uint32_t *"), ffi.new("uint64_t *")
    lib.pa_arena_read_claim(block, len(block), version, stated)
    says = f"header says {stated[0]}" if version[0] else "less than a header"
    reasons = {
        lib.PA_E_FOREIGN: "is not an arena",
        lib.PA_E_TRUNCATED: f"file has {len(block)} bytes, {says}",
        lib.PA_E_VERSION: f"layout version {version[0]}, this build reads {lib.PA_LAYOUT_VERSION}",
        lib.PA_E_CORRUPT: "header does not match its checksum, or contradicts itself",
    }
    if status:
        raise base.EXCEPTION[status](f"{path}: {reasons[status]}")


def _lay_out(block: Any, wanted: Any) -> None:
    status = lib.pa_arena_init(block, len(block), wanted, _build_text(), clock.wall_ns())
    base.check(status, "arena layout")
    _write_owner(block)


def _write_owner(block: Any) -> None:
    pid = os.getpid()
    lib.pa_arena_own(_handle(block), pid, _start_of(pid) or 0)


def _owner_of(path: Path) -> str:
    """Describe who holds the lock of `path`, as well as its header tells."""
    try:
        with Arena.attach(path) as arena:
            info = arena.info
    except errors.ArenaError:
        return "another process (it has no readable header)"
    if _start_of(info.owner_pid) == info.owner_start:
        return f"process {info.owner_pid} (epoch {info.owner_epoch})"
    # It is only just taking over, or lives in another pid namespace.
    return f"another process (its header names {info.owner_pid}, which does not run here)"


def _start_of(pid: int) -> int | None:
    """Return when process `pid` started, in clock ticks since boot; None if it does not run."""
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return int(line.rpartition(b")")[2].split()[19])  # proc(5): 22nd, and the name may hold blanks


def _config_struct(config: object) -> Any:
    if not isinstance(config, ArenaConfig):
        raise errors.ArgumentTypeError(f"config must be an ArenaConfig, not {_type_name(config)}")
    return ffi.new("pa_arena_config *", dataclasses.asdict(config))


def _size_of(wanted: Any) -> int:
    size = ffi.new("uint64_t *")
    base.check(lib.pa_arena_bytes(wanted, size), "arena configuration")
    return int(size[0])


def _checked(path: object) -> Path:
    if not isinstance(path, str | Path):
        raise errors.ArgumentTypeError(f"path must be a Path or str, not {_type_name(path)}")
    return Path(path)


def _type_name(value: object) -> str:
    return type(value).__name__


def _handle(block: Any) -> Any:
    return ffi.cast("pa_arena *", block)


def _build_text() -> bytes:
    version = "source tree"
    with suppress(importlib.metadata.PackageNotFoundError):
        version = importlib.metadata.version("polyarb")
    return f"polyarb {version}".encode()


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    with _access(path):
        descriptor = os.open(path, flags | OPEN_FLAGS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _access(name: Path | str) -> Iterator[None]:
    """Turn what the system and mmap raise into an ArenaAccessError about `name`."""
    try:
        yield
    except (OSError, ValueError, OverflowError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise errors.ArenaAccessError(f"{name}: {reason}") from error
