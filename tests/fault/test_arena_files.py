"""Arena files that are not what they should be, and owners that die: one failure per test."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyarb import errors
from polyarb._core import lib
from polyarb.core.arena import ATTEMPT_COUNT_MAX, Arena, ArenaConfig

SMALL = ArenaConfig(histogram_count=1)
SMALL_BYTES = 4096 + 4096 + 20480
JUDGED_BYTES = 504  # of the header, see unit/csrc/test_arena.c
OPENERS = [Arena.attach, Arena.own, Arena.operate]
Opener = Callable[[Path], Arena]

IMPORTS = "import os, signal, subprocess, sys; from polyarb.core.arena import Arena, ArenaConfig\n"
OWNER = IMPORTS + (
    "arena = getattr(Arena, sys.argv[2])(sys.argv[1])\n"
    "arena.section(0, 'uint64_t *')[0] = 77\n"
    "print(os.getpid(), flush=True); sys.stdin.readline()\n"
)


@pytest.fixture(params=["disk", "shm"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Make an empty folder, on disk and in /dev/shm; the latter is gone afterwards."""
    if request.param == "disk":
        yield tmp_path
        return
    made = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="polyarb-test-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Every byte of a small arena that nobody owns."""
    path = tmp_path_factory.mktemp("image") / "arena"
    Arena.create(path, config=SMALL).close()
    return path.read_bytes()


@contextmanager
def process(code: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """Run Python `code`; kill it in the end."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=native.ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(running: "subprocess.Popen[str]") -> str:
    """Return the next line it prints; wait for it."""
    assert running.stdout is not None
    text = running.stdout.readline()
    if not text:
        assert running.stderr is not None
        raise AssertionError(running.stderr.read())
    return text.strip()


def with_version(image: bytes, version: int) -> bytes:
    return image[:8] + version.to_bytes(4, "little") + image[12:]


# -- files that are no arena of ours ------------------------------------------------------------


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("length", "says"),
    [
        (0, "file has 0 bytes, less than a header"),
        (10, "file has 10 bytes, less than a header"),
        (100, f"file has 100 bytes, header says {SMALL_BYTES}"),
        (4096, f"file has 4096 bytes, header says {SMALL_BYTES}"),
        (SMALL_BYTES - 1, f"file has {SMALL_BYTES - 1} bytes, header says {SMALL_BYTES}"),
    ],
)
def test_a_truncated_file_tells_both_lengths(
    folder: Path, image: bytes, opener: Opener, length: int, says: str
) -> None:
    path = folder / "arena"
    path.write_bytes(image[:length])
    with pytest.raises(errors.ArenaTruncatedError) as caught:
        opener(path)
    assert str(caught.value) == f"{path}: {says}"


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("content", [b"a", b"not an arena at all" * 500, bytes(SMALL_BYTES)])
def test_a_foreign_file_is_no_arena(folder: Path, opener: Opener, content: bytes) -> None:
    path = folder / "arena"
    path.write_bytes(content)
    with pytest.raises(errors.ArenaForeignError) as caught:
        opener(path)
    assert str(caught.value) == f"{path}: is not an arena"
    assert path.read_bytes() == content


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("version", [0, 1, 7, 2**32 - 1])
def test_another_layout_version_is_named(
    folder: Path, image: bytes, opener: Opener, version: int
) -> None:
    path = folder / "arena"
    for content in (with_version(image, version), with_version(image, version)[:24]):
        path.write_bytes(content)
        with pytest.raises(errors.ArenaVersionError) as caught:
            opener(path)
        assert str(caught.value) == (
            f"{path}: layout version {version}, this build reads {lib.PA_LAYOUT_VERSION}"
        )


@pytest.mark.parametrize("opener", OPENERS)
def test_a_corrupted_header_is_refused_and_not_owned(
    folder: Path, image: bytes, opener: Opener
) -> None:
    path = folder / "arena"
    content = image[:32] + b"\x02" + image[33:]
    path.write_bytes(content)
    with pytest.raises(errors.ArenaCorruptError) as caught:
        opener(path)
    assert "header does not match its checksum" in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing", "No such file or directory"),
        ("folder", "directory"),
        ("pipe", "is no regular file"),
        ("nothing/arena", "No such file or directory"),
        ("dangling", "No such file or directory"),
        ("loop", "Too many levels of symbolic links"),
        ("a" * 300, "File name too long"),
        ("a\0b", "null byte"),
    ],
)
def test_a_path_that_is_no_file_gives_the_reason(
    tmp_path: Path, opener: Opener, name: str, says: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "missing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(errors.ArenaAccessError) as caught:
        opener(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("opener", OPENERS)
def test_a_device_is_refused(opener: Opener) -> None:
    with pytest.raises(errors.ArenaAccessError, match="is no regular file"):
        opener(Path("/dev/zero"))


def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arena"
    Arena.create(path, config=SMALL).close()
    code = IMPORTS + (
        "from polyarb.errors import ArenaAccessError\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "else: os.chmod(sys.argv[1], 0)\n"
        "for opener in (Arena.attach, Arena.own, Arena.operate):\n"
        "    try: opener(sys.argv[1])\n"
        "    except ArenaAccessError as error: print(error, flush=True)\n"
    )
    with process(code, path) as other:
        for _ in OPENERS:
            assert line(other) == f"{path}: Permission denied"


# -- creating -----------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["arena", "text", "folder", "link"])
def test_create_refuses_a_path_that_exists_and_leaves_it(folder: Path, there: str) -> None:
    path = folder / "arena"
    if there == "arena":
        Arena.create(path, config=SMALL).close()
    elif there == "text":
        path.write_bytes(b"precious")
    elif there == "folder":
        path.mkdir()
    else:
        path.symlink_to(folder / "missing")
    content = path.read_bytes() if path.is_file() else None
    with pytest.raises(errors.ArenaAccessError, match=f"^{path}: exists already"):
        Arena.create(path, config=SMALL)
    assert [entry.name for entry in folder.iterdir()] == ["arena"]
    assert content is None or path.read_bytes() == content


@pytest.mark.parametrize("name", ["nothing/arena", "file/arena", "a" * 300, "a\0b"])
def test_create_where_nothing_can_be_gives_the_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.ArenaAccessError):
        Arena.create(tmp_path / name, config=SMALL)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_create_on_a_full_disk_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(errors.ArenaAccessError, match="No space left on device"):
        Arena.create(tmp_path / "arena", config=SMALL)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["os.posix_fallocate", "fcntl.flock", "os.link"])
def test_a_crash_while_creating_leaves_nothing_at_the_path(folder: Path, step: str) -> None:
    path = folder / "arena"
    module, name = step.split(".")
    code = IMPORTS + (
        f"import {module}\n"
        f"{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Arena.create(sys.argv[1])\n"
    )
    with process(code, path) as creator:
        assert creator.wait() == -signal.SIGKILL, name
    assert not path.exists()
    with Arena.create(path, config=SMALL) as arena:
        assert arena.info.owner_epoch == 1


def test_of_many_creators_one_wins(folder: Path) -> None:
    path = folder / "arena"
    code = IMPORTS + (
        "from polyarb.errors import ArenaAccessError\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try: arena = Arena.create(sys.argv[1]); print('created', flush=True)\n"
        "except ArenaAccessError as error: print(error, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    with process(code, path) as one, process(code, path) as two, process(code, path) as three:
        creators = (one, two, three)
        assert [line(creator) for creator in creators] == ["ready"] * 3
        for creator in creators:
            assert creator.stdin is not None
            creator.stdin.write("\n")
            creator.stdin.flush()
        lost = f"{path}: exists already; own it, or remove it first"
        assert sorted(line(creator) for creator in creators) == sorted(["created", lost, lost])


# -- owners that live, and that die -------------------------------------------------------------


@pytest.mark.parametrize("way", ["create", "own"])
def test_a_second_owner_is_refused_while_the_first_lives(folder: Path, way: str) -> None:
    path = folder / "arena"
    if way == "own":
        Arena.create(path).close()
    with process(OWNER, path, way) as owner:
        pid = line(owner)
        epoch = {"create": 1, "own": 2}[way]
        with pytest.raises(errors.ArenaOwnedError) as caught:
            Arena.own(path)
        assert str(caught.value) == f"{path}: is owned by process {pid} (epoch {epoch})"
        with Arena.attach(path) as reader:
            assert reader.info.owner_pid == int(pid)
            assert reader.info.owner_epoch == epoch


def test_an_owner_that_closed_gives_way_at_once(folder: Path) -> None:
    path = folder / "arena"
    code = OWNER + "arena.close(); print('closed', flush=True); sys.stdin.readline()\n"
    with process(code, path, "create") as owner:
        line(owner)
        assert owner.stdin is not None
        owner.stdin.write("\n")
        owner.stdin.flush()
        assert line(owner) == "closed"
        with Arena.own(path) as arena:
            assert arena.info.owner_epoch == 2


def test_takeover_after_the_owner_was_killed(folder: Path) -> None:
    path = folder / "arena"
    with process(OWNER, path, "create") as owner:
        pid = int(line(owner))
        owner.kill()
        owner.wait()
    with Arena.attach(path) as reader:
        assert (reader.info.owner_pid, reader.info.owner_epoch) == (pid, 1)
    with Arena.own(path) as arena:
        assert (arena.info.owner_pid, arena.info.owner_epoch) == (os.getpid(), 2)
        assert arena.section(0, "uint64_t *")[0] == 77  # what it had stored is still there


@pytest.mark.parametrize(
    "start",
    [
        "pid = os.fork()\nif pid == 0: print(os.getpid(), arena.is_owner, flush=True)",
        "child = subprocess.Popen(['sh', '-c', 'echo $$ False; read line'], close_fds=False)",
    ],
    ids=["forked", "executed"],
)
def test_a_child_that_survives_its_killed_owner_does_not_hold_the_arena(
    folder: Path, start: str
) -> None:
    path = folder / "arena"
    code = f"{IMPORTS}arena = Arena.create(sys.argv[1])\n{start}\nsys.stdin.readline()\n"
    with process(code, path) as owner:
        child, owns = line(owner).split()
        assert owns == "False"
        with pytest.raises(errors.ArenaOwnedError):
            Arena.own(path)
        os.kill(owner.pid, signal.SIGKILL)
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        os.kill(int(child), 0)  # it lives: its end of the pipe is open
        with Arena.own(path) as arena:
            assert arena.info.owner_epoch == 2
        assert owner.stdin is not None
        owner.stdin.close()  # the child reads the end of its input and goes


def test_a_holder_that_the_header_does_not_name_is_told_as_such(folder: Path, image: bytes) -> None:
    """Somebody is only just taking over, or lives in another pid namespace."""
    path = folder / "arena"
    path.write_bytes(image)
    with path.open("rb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(errors.ArenaOwnedError, match="its header names 0, which does not run"):
            Arena.own(path)
        path.write_bytes(b"")
        with pytest.raises(errors.ArenaOwnedError, match="no readable header"):
            Arena.own(path)


def test_own_holds_the_file_that_the_path_names(
    folder: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file is replaced between opening and locking it, the lock would guard nothing."""
    path = folder / "arena"
    path.write_bytes(image)
    flock, replaced = fcntl.flock, []

    def replace_then_lock(descriptor: int, how: int) -> None:
        if not replaced:
            replaced.append(path)
            (folder / "new").write_bytes(image)
            (folder / "new").replace(path)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replace_then_lock)
    with Arena.own(path) as arena:
        assert replaced
        with Arena.attach(path) as reader:
            assert reader.info.owner_epoch == arena.info.owner_epoch == 2
        with pytest.raises(errors.ArenaOwnedError):
            Arena.own(path)


def test_own_gives_up_on_a_path_that_never_rests(
    folder: Path, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "arena"
    path.write_bytes(image)
    flock = fcntl.flock

    def replace_then_lock(descriptor: int, how: int) -> None:
        (folder / "new").write_bytes(image)
        (folder / "new").replace(path)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", replace_then_lock)
    with pytest.raises(
        errors.ArenaAccessError, match=f"was replaced at each of {ATTEMPT_COUNT_MAX}"
    ):
        Arena.own(path)
    monkeypatch.undo()
    Arena.own(path).close()


@pytest.mark.parametrize("opener", OPENERS)
def test_a_refused_file_leaves_no_descriptor_and_no_lock(
    folder: Path, image: bytes, opener: Opener
) -> None:
    path = folder / "arena"
    path.write_bytes(image[:4096])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(errors.ArenaTruncatedError):
            opener(path)
    assert len(os.listdir("/proc/self/fd")) == before
    path.write_bytes(image)
    Arena.own(path).close()
    assert len(os.listdir("/proc/self/fd")) == before


# -- any bytes whatever -------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=600), head=st.integers(0, 24))
def test_random_bytes_are_refused(
    tmp_path_factory: pytest.TempPathFactory, image: bytes, content: bytes, head: int
) -> None:
    """Behind as much of a true header as brings them past the first checks."""
    path = tmp_path_factory.getbasetemp() / "random-arena"
    path.write_bytes(image[:head] + content)
    for opener in OPENERS:
        with pytest.raises(errors.ArenaError):
            opener(path)


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 255) | st.integers(0, SMALL_BYTES - 1), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, image: bytes, at: int, flip: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed-arena"
    path.write_bytes(image[:at] + bytes([image[at] ^ flip]) + image[at + 1 :])
    for opener in OPENERS:
        if at < JUDGED_BYTES:
            with pytest.raises(errors.ArenaError):
                opener(path)
        else:
            with opener(path) as arena:
                assert arena.info.config == SMALL
