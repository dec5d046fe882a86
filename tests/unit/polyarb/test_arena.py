"""The arena as Python sees it, and the C programs that hold its layout."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import native
import pytest

from polyarb import errors
from polyarb._core import ffi, lib
from polyarb.core.arena import Arena, ArenaConfig

SMALL = ArenaConfig(histogram_count=1)


@pytest.fixture(params=["disk", "shm"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Make an empty folder, on disk and in /dev/shm; the latter is gone afterwards."""
    if request.param == "disk":
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="polyarb-test-"))
    yield made
    shutil.rmtree(made)


def in_a_child(act: Callable[[], bool]) -> bool:
    """Return what `act` says in a forked child; False if it raised."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if act() else 1
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


@pytest.mark.parametrize("flavour", ["plain", "address"])
def test_layout_and_every_status_hold_in_c(c_program: Callable[..., str], flavour: str) -> None:
    c_program("unit/csrc/test_arena.c", flavour)


@pytest.mark.parametrize(
    ("part", "flavour"), [("threads", "plain"), ("processes", "plain"), ("threads", "thread")]
)
def test_no_update_of_a_shared_word_is_lost(
    c_program: Callable[..., str], part: str, flavour: str
) -> None:
    c_program("stress/stress_arena.c", flavour, part)


@pytest.mark.parametrize("count", [0, -1, 257, 2**32])
def test_a_count_outside_its_range_names_the_setting(count: int) -> None:
    with pytest.raises(errors.RangeError) as caught:
        ArenaConfig(histogram_count=count)
    assert str(caught.value) == f"arena.histogram_count {count} is outside 1..256"


@pytest.mark.parametrize("count", ["32", 32.0, True, None])
def test_a_count_that_is_no_int_is_a_type_error(count: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match=r"arena\.histogram_count must be an int"):
        ArenaConfig(histogram_count=count)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 32, 256])
def test_info_says_what_was_asked_for(folder: Path, count: int) -> None:
    before = time.time_ns()
    config = ArenaConfig(histogram_count=count)
    with Arena.create(folder / "arena", config=config) as arena:
        info = arena.info
        assert info.config == config
        assert info.bytes == 4096 + 4096 + count * 20480 == (folder / "arena").stat().st_size
        assert info.layout_version == lib.PA_LAYOUT_VERSION
        assert info.build.startswith("polyarb ")
        assert before <= info.created_unix_ns <= time.time_ns()
        assert (info.owner_pid, info.owner_epoch) == (os.getpid(), 1)
        assert info.owner_start > 0
        assert arena.path == folder / "arena"
        assert arena.writable
        assert arena.is_owner


def test_an_arena_file_is_for_this_user_only(folder: Path) -> None:
    with Arena.create(str(folder / "arena"), config=SMALL):
        assert (folder / "arena").stat().st_mode & 0o777 == 0o600


def test_default_config_is_32_histograms() -> None:
    with Arena.create() as arena:
        assert arena.path is None
        assert arena.info.config.histogram_count == 32


@pytest.mark.parametrize("path", [b"/tmp/arena", 3, 1.5, ["x"], object()])
@pytest.mark.parametrize("make", [Arena.create, Arena.attach, Arena.own, Arena.operate])
def test_a_path_of_a_wrong_type_is_refused(make: Callable[[object], Arena], path: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="path must be a Path or str, not "):
        make(path)


@pytest.mark.parametrize("make", [Arena.attach, Arena.own, Arena.operate])
def test_only_create_takes_no_path(make: Callable[[object], Arena]) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="not NoneType"):
        make(None)


@pytest.mark.parametrize("config", [32, {"histogram_count": 1}, "x"])
def test_a_config_of_a_wrong_type_is_refused(tmp_path: Path, config: object) -> None:
    with pytest.raises(errors.ArgumentTypeError, match="config must be an ArenaConfig"):
        Arena.create(tmp_path / "arena", config=config)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_sections_start_on_pages_of_zeros() -> None:
    with Arena.create(config=SMALL) as arena:
        account = arena.section(lib.PA_SECTION_ACCOUNT, "uint8_t *")
        trace = arena.section(lib.PA_SECTION_TRACE, "uint8_t *")
        assert int(ffi.cast("uintptr_t", account)) % 4096 == 0
        assert trace - account == 4096
        assert bytes(ffi.buffer(account, 4096 + 20480)) == bytes(4096 + 20480)


@pytest.mark.parametrize("which", [-1, lib.PA_SECTION_COUNT, 1000])
def test_a_section_that_is_none_is_refused(which: int) -> None:
    with Arena.create(config=SMALL) as arena, pytest.raises(errors.RangeError, match="section"):
        arena.section(which)


def test_a_view_outlives_close_and_the_map_goes_with_the_last_view(tmp_path: Path) -> None:
    path = tmp_path / "arena"

    def mapped() -> bool:
        gc.collect()
        return str(path) in Path("/proc/self/maps").read_text()

    Arena.create(path, config=SMALL).close()  # the creator's map bears the passing name
    arena = Arena.own(path)
    word = arena.section(lib.PA_SECTION_ACCOUNT, "uint64_t *")
    other = arena.section(lib.PA_SECTION_TRACE)
    arena.close()
    word[0] = 42
    assert word[0] == 42
    assert mapped()
    del word
    assert mapped()
    del other
    assert not mapped()


def test_a_closed_arena_is_nothing_more(folder: Path) -> None:
    arena = Arena.create(folder / "arena", config=SMALL)
    arena.close()
    arena.close()
    assert not arena.writable
    assert not arena.is_owner
    for use in (lambda: arena.info, lambda: arena.section(0)):
        with pytest.raises(errors.ArenaAccessError, match="is closed"):
            use()


def test_close_says_that_nobody_owns_it(folder: Path) -> None:
    path = folder / "arena"
    Arena.create(path, config=SMALL).close()
    with Arena.attach(path) as arena:
        assert (arena.info.owner_pid, arena.info.owner_epoch) == (0, 1)


def test_every_taking_over_is_a_new_epoch(folder: Path) -> None:
    path = folder / "arena"
    Arena.create(path, config=SMALL).close()
    for epoch in (2, 3, 4):
        with Arena.own(path) as arena:
            assert arena.is_owner
            assert arena.writable
            assert (arena.info.owner_pid, arena.info.owner_epoch) == (os.getpid(), epoch)


def test_attach_reads_and_operate_writes_and_neither_owns(folder: Path) -> None:
    path = folder / "arena"
    with (
        Arena.create(path, config=SMALL) as owner,
        Arena.attach(path) as reader,
        Arena.operate(path) as operator,
    ):
        assert (reader.writable, reader.is_owner) == (False, False)
        assert (operator.writable, operator.is_owner) == (True, False)
        operator.section(0, "uint64_t *")[0] = 7
        assert owner.section(0, "uint64_t *")[0] == 7
        assert reader.section(0, "uint64_t *")[0] == 7
        reader.close()
        operator.close()
        assert owner.info.owner_pid == os.getpid()
        with pytest.raises(errors.ArenaOwnedError):
            Arena.own(path)


def test_a_dropped_owner_gives_way(folder: Path) -> None:
    """Forgetting close must not lock the file for as long as the process lives."""
    path = folder / "arena"
    Arena.create(path, config=SMALL)
    gc.collect()
    with Arena.own(path) as arena:
        assert arena.info.owner_epoch == 2


def test_an_open_arena_does_not_disturb_the_interpreters_end(tmp_path: Path) -> None:
    code = (
        "import sys; from polyarb.core.arena import Arena\n"
        "arena = Arena.create(sys.argv[1]); word = arena.section(0)\n"
        "class Ring: pass\n"
        "ring = Ring(); ring.ring = ring; ring.arena = Arena.create(); ring.word = word\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "arena")],
        cwd=native.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Arena.own(tmp_path / "arena") as arena:
        assert arena.info.owner_epoch == 2


def test_a_forked_child_shares_anonymous_words_and_is_no_owner() -> None:
    with Arena.create(config=SMALL) as arena:
        words = arena.section(lib.PA_SECTION_ACCOUNT, "uint64_t *")
        words[0] = 1

        def child() -> bool:
            words[1] = words[0] + 1
            verdict = arena.writable and not arena.is_owner
            arena.close()
            return verdict

        assert in_a_child(child)
        assert words[1] == 2
        assert arena.is_owner
        assert arena.info.owner_pid == os.getpid()


def test_a_forked_child_cannot_release_its_parents_ownership(folder: Path) -> None:
    path = folder / "arena"
    with Arena.create(path, config=SMALL) as arena:

        def child() -> bool:
            refused = False
            arena.close()
            try:
                Arena.own(path)
            except errors.ArenaOwnedError:
                refused = True
            return refused and not arena.is_owner

        assert in_a_child(child)
        assert arena.is_owner
        assert arena.info.owner_pid == os.getpid()
        with pytest.raises(errors.ArenaOwnedError):
            Arena.own(path)


def test_two_processes_see_each_others_words(folder: Path) -> None:
    path = folder / "arena"
    code = (
        "import sys; from polyarb.core.arena import Arena\n"
        "arena = Arena.operate(sys.argv[1]); words = arena.section(0, 'uint64_t *')\n"
        "print(words[0], flush=True); words[1] = 456; print('stored', flush=True)\n"
        "sys.stdin.readline(); print(words[2], arena.info.owner_pid, flush=True)\n"
    )
    with Arena.create(path, config=SMALL) as arena:
        words = arena.section(0, "uint64_t *")
        words[0] = 123
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            cwd=native.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdin is not None
            assert other.stdout is not None
            assert other.stdout.readline() == "123\n"
            assert other.stdout.readline() == "stored\n"
            assert words[1] == 456
            words[2] = 789
            other.stdin.write("\n")
            other.stdin.flush()
            assert other.stdout.readline() == f"789 {os.getpid()}\n"
        assert other.returncode == 0
