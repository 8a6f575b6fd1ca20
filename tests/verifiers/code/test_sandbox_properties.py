"""Attacks that nobody wrote by hand: statements, places and guards put together. Numbers are the hostile cases'."""

from __future__ import annotations

import os
import secrets
import textwrap
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.verifiers.code.conftest import digest, jailed_processes, sandbox_processes
from ttc.verifiers.code import Limits, Sandbox

QUICK = Limits(seconds=0.5, total_seconds=1, memory_mb=256, output_bytes=10_000)
SECRET = f"wanted-it-is-{secrets.token_hex(8)}"
"""What the tests expect, and what the canary files hold: nobody can guess it, so who has it found it."""

FALSE: list[str | dict[str, str]] = [
    "assert False",
    f"assert f(1) == {SECRET!r}",
    "try:\n    f(1)\nexcept BaseException:\n    pass\nraise AssertionError",
    f"assert {SECRET!r} in [f(1), str(f(1))]",
    {"stdin": "1", "stdout": SECRET},
]

# -- statements: what an attack does. FOUND is what f returns ---------------------------------------------------------

HEADER = """
import array, atexit, ctypes, gc, json, mmap, os, resource, signal, socket, struct, subprocess, sys, threading, time
FOUND = "nothing"
libc = ctypes.CDLL(None, use_errno=True)

def keep(thing):
    global FOUND
    for text in thing if isinstance(thing, (list, tuple)) else [thing]:
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        if isinstance(text, str) and (at := text.find("-".join(("wanted", "it", "is")))) >= 0:
            FOUND = text[at : at + 29]
            print(FOUND)
"""

codes = st.integers(0, 255)
numbers = st.integers(0, 2**40)
pids = st.sampled_from(
    [str(os.getpid()), "os.getppid()", "os.getpid() - 1", "os.getpid() + 1", "os.getpid() + 2", "-os.getppid()"]
)
leaving = st.one_of(
    st.builds("os._exit({})".format, codes),
    st.builds("sys.exit({})".format, codes),
    st.builds("raise SystemExit({})".format, codes),
    st.builds(
        "raise {}".format, st.sampled_from(["KeyboardInterrupt", "GeneratorExit", "BaseException", "MemoryError"])
    ),
    st.builds("libc.{}({})".format, st.sampled_from(["exit", "_exit", "quick_exit"]), codes),
    st.builds("ctypes.string_at({})".format, numbers),
    st.builds("os.closerange({}, {})".format, st.integers(0, 5), st.integers(3, 64)),
    st.builds("signal.setitimer(signal.ITIMER_{}, {})".format, st.sampled_from(["REAL", "PROF"]), st.floats(1e-3, 0.1)),
    st.just("os.abort()"),
)

searches = st.one_of(
    st.builds(
        "frame = sys._getframe({})\nwhile frame:\n"
        "    keep([*frame.f_locals.values(), *frame.f_globals.values(), *frame.f_code.co_consts])\n"
        "    frame = frame.f_back".format,
        st.integers(0, 3),
    ),
    st.builds("for thing in gc.{}: keep(list(thing.values()) if isinstance(thing, dict) else thing)".format,
              st.sampled_from(["get_objects()", "get_objects(0)", "get_referrers(keep)", "get_objects(2)"])),
    st.just("for module in list(sys.modules.values()): keep(list(vars(module).values()))"),
    st.builds("os.set_blocking({0}, False)\nkeep(os.read({0}, {1}))".format, st.integers(0, 63), st.integers(1, 10**6)),
)  # fmt: skip

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "s", "d", "h", "y"]), inner),
    max_leaves=6,
)
messages = st.dictionaries(st.sampled_from(["ok", "raise", "args", "status", "test", "passed"]), plain, min_size=1)
frames = st.one_of(
    st.builds("(lambda b: struct.pack('!I', len(b)) + b)(json.dumps({!r}).encode())".format, messages | plain),
    st.builds("json.dumps({!r}).encode() + b'\\n'".format, messages),
    st.builds("struct.pack('!iBI', {}, {}, {})".format, st.integers(-1, 5), st.integers(0, 5), st.integers(0, 1 << 31)),
    st.builds("{!r} * {}".format, st.binary(min_size=1, max_size=8), st.integers(1, 1000)),
)
forging = st.one_of(
    st.builds("os.write({}, {})".format, st.integers(0, 63), frames),
    st.builds(
        "for number in range(64):\n    try: os.write(number, {})\n    except OSError: pass".format,
        frames,
    ),
    st.builds(
        "print({!r}, {!r}, flush=True)".format,
        st.sampled_from(["OK", "PASSED", "1 passed", '{"status": "passed"}', "\x00"]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    ),
)

forking = st.one_of(
    st.builds("for _ in range({}): os.{}()".format, st.integers(1, 99), st.sampled_from(["fork", "forkpty"])),
    st.builds("if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep({})".format, st.integers(20, 60)),
    st.builds("subprocess.{}(['/bin/sleep', '{}'])".format, st.sampled_from(["run", "Popen"]), st.integers(20, 60)),
    st.builds("os.posix_spawn('/bin/sleep', ['sleep', '{}'], {{}})".format, st.integers(20, 60)),
    st.builds("os.system('sleep {} &')".format, st.integers(20, 60)),
    st.builds("libc.{}()".format, st.sampled_from(["fork", "vfork"])),
    st.builds("libc.clone(None, None, {}, None)".format, st.integers(0, 1 << 31)),
    st.builds("os.execv('/bin/sleep', ['sleep', '{}'])".format, st.integers(20, 60)),
    st.builds("for _ in range({}): threading.Thread(target=time.sleep, args=(60,)).start()".format, st.integers(1, 50)),
)

mebibytes = st.integers(1, 1 << 13)
swallowing = st.one_of(
    st.builds("bytearray({} << 20)".format, mebibytes),
    st.builds("'x' * ({} << 20)".format, mebibytes),
    st.builds("mmap.mmap(-1, {} << 20)".format, mebibytes),
    st.builds("[list(range({})) for _ in range({})]".format, st.integers(1, 10**6), st.integers(1, 99)),
    st.builds("array.array('Q', [0]) * {}".format, numbers),
    st.builds("1 << {}".format, numbers),
    st.builds("{} ** 10 ** {}".format, st.integers(2, 99), st.integers(1, 9)),
    st.builds("hoard = []\nwhile True: hoard.append(bytearray({}))".format, st.integers(1 << 12, 1 << 22)),
)

staying = st.one_of(
    st.builds("while True: {}".format, st.sampled_from(["pass", "time.sleep(9)", "sum(range(10**4))", "[].sort()"])),
    st.builds("time.sleep({})".format, st.integers(20, 600)),
    st.builds(
        "signal.signal({}, signal.SIG_IGN)\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass".format,
        st.sampled_from([1, 2, 3, 10, 13, 14, 15, 24]),
    ),
    st.builds(
        "threading.{}".format, st.sampled_from(["Event().wait()", "Barrier(2).wait()", "Semaphore(0).acquire()"])
    ),
    st.just("signal.pause()"),
    st.just("def deep(n): return deep(n + 1)\nsys.setrecursionlimit(10**9)\ndeep(0)"),
)

addresses = st.sampled_from(["('127.0.0.1', 22)", "('::1', 80)", r"'\0ttc'", "'/run/x'", "(0, 0)", "('lo', 3)"])
calling = st.one_of(
    st.builds("socket.socket({}, {}, {})".format, st.integers(0, 45), st.integers(0, 10), st.integers(0, 300)),
    st.builds(
        "socket.socket({}, {}).{}({})".format,
        st.sampled_from([1, 2, 10, 16, 17, 40]),
        st.integers(1, 5),
        st.sampled_from(["connect", "bind"]),
        addresses,
    ),
    st.builds("socket.socketpair(type={})[0].sendto(b'x', {})".format, st.integers(1, 5), addresses),
    st.builds("socket.socketpair()[0].sendmsg([b'x'], [], {}, {})".format, st.integers(0, 9), addresses),
)

#: TREE stands for the folder of the canary files
paths = st.sampled_from(
    ["TREE/secret", "TREE/inner/file", "TREE/new", "TREE/../canaries/secret", "/proc/self/root/TREE/secret"]
    + [f"/proc/{p}/{name}" for p in ("self", 1, os.getpid()) for name in ("environ", "mem", "maps", "cmdline")]
)
touching = st.one_of(
    st.builds("keep(open({!r}, {!r}, errors='replace').read(999))".format, paths, st.sampled_from(["r", "r+", "a+"])),
    st.builds("keep(os.read(os.open({!r}, {}), 999))".format, paths, st.integers(0, 0o7777777)),
    st.builds("open({!r}, {!r}).write('x')".format, paths, st.sampled_from(["w", "a", "x", "r+"])),
    st.builds(
        "os.{}({!r})".format,
        st.sampled_from(["remove", "rmdir", "mkdir", "mkfifo", "mknod", "listdir", "chroot", "stat", "utime"]),
        paths,
    ),
    st.builds("os.{}({!r}, {!r})".format, st.sampled_from(["rename", "link", "symlink", "replace"]), paths, paths),
    st.builds("os.{}({!r}, {})".format, st.sampled_from(["chmod", "truncate"]), paths, st.integers(0, 0o777)),
)

signalling = st.one_of(
    st.builds("os.{}({}, {})".format, st.sampled_from(["kill", "killpg"]), pids, st.integers(0, 31)),
    st.builds("signal.pidfd_send_signal(os.pidfd_open({}), {})".format, pids, st.integers(0, 31)),
    st.builds("libc.ptrace({}, {}, 0, 0)".format, st.integers(0, 17), pids),
    st.builds("libc.sigqueue({}, {}, 0)".format, pids, st.integers(0, 31)),
    st.builds("resource.prlimit({}, {}, (1, 1))".format, pids, st.integers(0, 15)),
    st.builds("os.setpriority({}, {}, 19)".format, st.integers(0, 2), pids),
    st.builds("os.sched_setaffinity({}, [{}])".format, pids, st.integers(0, 3)),
)

pouring = st.one_of(
    st.builds("while True: print({!r} * {})".format, st.text("ab\n", min_size=1, max_size=5), st.integers(1, 10**5)),
    st.builds("while True: os.write({}, b'x' * {})".format, st.integers(1, 2), st.integers(1, 10**6)),
    st.builds(
        "while True: sys.{}.write('x' * {})".format, st.sampled_from(["stdout", "stderr"]), st.integers(1, 10**5)
    ),
    st.builds("for _ in range({}): print('PASSED')".format, st.integers(1, 10**5)),
)

CASES = {
    "1 leaving": (leaving, 8),
    "3 looking for what is expected": (searches, 6),
    "4 frames and markers": (forging, 6),
    "5 processes": (forking, 6),
    "6 memory": (swallowing, 6),
    "7 time": (staying, 4),
    "8 network": (calling, 6),
    "9 secrets and files": (touching, 8),
    "10 signals": (signalling, 6),
    "11 output": (pouring, 4),
}

# -- places: from where it is done, and what stands around it ---------------------------------------------------------

PLACES = {
    "a function": "work()",
    "a property": "class P:\n    @property\n    def value(self): work()\nP().value",
    "the end of an object": "class D:\n    def __del__(self): work()\nthing = D()\ndel thing",
    "the end of the interpreter": "atexit.register(work)",
    "a thread": "thread = threading.Thread(target=work)\nthread.start()\nthread.join()",
    "a thread that is left": "threading.Thread(target=work, daemon=True).start()",
    "a generator": "def steps():\n    yield 1\n    work()\n    yield 2\nlist(steps())",
    "a generator that is closed": "def steps():\n    try: yield 1\n    finally: work()\nnext(steps())",
    "an exception handler": "try: 1 / 0\nexcept ZeroDivisionError: work()",
    "a finally": "try: pass\nfinally: work()",
    "a decorator": "def decorated(function):\n    work()\n    return function\n@decorated\ndef g(): pass",
    "a context manager": "class C:\n    def __enter__(self): 1\n    def __exit__(self, *a): work()\nwith C(): pass",
    "a metaclass": "class M(type):\n    def __init__(cls, *more): work()\nclass N(metaclass=M): pass",
    "a signal handler": "signal.signal(14, lambda *a: work())\nsignal.setitimer(0, 1e-3)\ntime.sleep(.01)",
    "a trace function": "sys.setprofile(lambda *a: (sys.setprofile(None), work()))\nlen('')",
    "a comparison": "class E:\n    def __eq__(self, other): return not work()\nE() == 1",
}  # fmt: skip
RETURNED = """
class Answer:
    def __getattribute__(self, name): work(); return object.__getattribute__(self, name)
    def __str__(self): work(); return FOUND
    def __bool__(self): work(); return True
    def __iter__(self): work(); return iter([FOUND])
    def __len__(self): work(); return 1
    def __getitem__(self, at): work(); return FOUND
"""
GUARDS = {
    "none": "if True:\nBODY",
    "anything": "try:\nBODY\nexcept BaseException: pass",
    "exceptions": "try:\nBODY\nexcept Exception as error: keep(str(error))",
    "again": "try:\nBODY\nexcept BaseException:\nBODY",
    "a return": "try:\nBODY\nfinally: return True",
}


def written(body: list[str], guard: str, place: str, when: str) -> str:
    """The attack as a program: its statements in work(), called from a place, at the import or in a call of f."""
    guarded = GUARDS[guard].replace("BODY", textwrap.indent("\n".join(body), "    "))
    work = f"def work():\n    global FOUND\n{textwrap.indent(guarded, '    ')}"
    source = f"{HEADER}\n{work}\n{RETURNED}\n"
    if when == "import":
        return f"{source}\n{PLACES[place]}\ndef f(x): return FOUND\n"
    if when == "answer":
        return f"{source}\ndef f(x): return Answer()\n"
    return f"{source}\ndef f(x):\n{textwrap.indent(PLACES[place], '    ')}\n    return FOUND\n"


def programs(statements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        written,
        st.lists(statements, min_size=1, max_size=2),
        st.sampled_from(sorted(GUARDS)),
        st.sampled_from(sorted(PLACES)),
        st.sampled_from(["import", "call", "call", "answer"]),
    )


# -- what must hold ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that anybody may read and write."""
    folder = tmp_path_factory.mktemp("properties") / "canaries"
    (folder / "inner").mkdir(parents=True)
    for path in (folder / "secret", folder / "inner" / "file"):
        path.write_text(SECRET)
        path.chmod(0o777)
    before = digest(folder)
    yield folder
    assert digest(folder) == before


@pytest.mark.parametrize("case", CASES)
def test_no_attack_passes_a_false_test_and_the_next_job_is_fine(sandbox: Sandbox, tree: Path, case: str) -> None:
    statements, times = CASES[case]
    before = digest(tree)

    # Too slow: every second example or so is one that has to be killed at its deadline.
    @settings(deadline=None, max_examples=times, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(source=programs(statements))
    def holds(source: str) -> None:
        source = source.replace("TREE", str(tree))
        compile(source, "<attack>", "exec")  # one that does not compile would hold for nothing
        anyio.run(attacked, source)

    async def attacked(source: str) -> None:
        workers = set(sandbox_processes())
        results = await sandbox.check(source, FALSE, entry_point="f", limits=QUICK)
        assert [result for result in results if result.passed] == []
        assert len(results) == len(FALSE)
        assert SECRET not in (await sandbox.execute(source + "\nf(1)\n", limits=QUICK)).stdout
        honest = await sandbox.check("def double(x): return 2 * x", ["assert double(4) == 8", "assert double(1) == 3"])
        assert [result.status for result in honest] == ["passed", "failed"]
        assert jailed_processes() == []
        assert workers <= set(sandbox_processes()), "a worker was lost"
        assert digest(tree) == before

    holds()


@pytest.mark.anyio
@pytest.mark.parametrize("place", sorted(set(PLACES) - {"the end of the interpreter"}))
@pytest.mark.parametrize("guard", ["none", "again"])
async def test_every_place_is_reached_and_what_is_there_is_found(sandbox: Sandbox, place: str, guard: str) -> None:
    """Without this the properties might hold because no attack ever ran."""
    source = written([f"keep('it says ' + {SECRET!r})", "time.sleep(0)"], guard, place, "call")
    (result,) = await sandbox.check(source, [f"import time\nf(1)\ntime.sleep(.05)\nassert f(1) == {SECRET!r}"])
    assert result.passed, result


@pytest.mark.anyio
async def test_what_is_returned_attacks_when_it_is_looked_at(sandbox: Sandbox) -> None:
    source = written([f"keep({SECRET!r})"], "none", "a function", "answer")
    (result,) = await sandbox.check(source, [f"assert str(f(1)) == {SECRET!r}"])
    assert result.passed, result
