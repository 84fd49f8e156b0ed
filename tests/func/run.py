#!/usr/bin/python3
"""Functional tests: run.py [-v] [--not=NAME,...] [--jobs=N] [NAME...]

NAME is a module (t20_pool) or a test (t20_pool.rotation), or the start of one; without one, all are run.
With --jobs=N, N modules run at a time, each in a process of its own; those that take long begin first.
A module has functions test_*(case, fixture); fixture is what its setup(case) returns, when it has one.
Ends with "N passed, N failed, N skipped"; exit status 1 when one has failed.
"""
import concurrent.futures
import importlib
import os
import re
import pkgutil
import signal
import subprocess
import sys
import time
import traceback

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)
sys.dont_write_bytecode = True

try:
    import harness
except ModuleNotFoundError as missing:
    # Another Python may come first in PATH; Debian's is the one that has the package.
    if os.path.realpath(sys.executable) != os.path.realpath("/usr/bin/python3") and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(__file__), *sys.argv[1:]])
    sys.exit(f"run.py: {missing}; scripts/setup.sh test installs it (Debian: python3-dnspython)")


class Results:
    def __init__(self, verbose):
        self.verbose = verbose
        self.passed = self.failed = self.skipped = 0

    def tell(self, word, name, seconds, text=""):
        print(f"{word:4} {name} ({seconds:.1f} s)" + (f": {text}" if text else ""), flush=True)

    def add(self, name, seconds, problem):
        if problem is None:
            self.passed += 1
            self.tell("ok", name, seconds)
        elif isinstance(problem, harness.Skip):
            self.skipped += 1
            self.tell("skip", name, seconds, str(problem))
        else:
            self.failed += 1
            self.tell("FAIL", name, seconds, str(problem) or type(problem).__name__)
            if self.verbose or not isinstance(problem, harness.Failure):
                print("".join(traceback.format_exception(problem)), flush=True)


# One that hangs fails, with the place where it hung.
LIMIT_S = harness.amount(300, 3600, 900)


def give_up(*_):
    raise TimeoutError(f"not finished after {LIMIT_S} s")


def guarded(function, *arguments):
    """(result, what went wrong or None)"""
    signal.alarm(LIMIT_S)
    try:
        return function(*arguments), None
    except KeyboardInterrupt:
        raise
    except Exception as problem:  # a broken test is a failed test, not the end of the run
        return None, problem
    finally:
        signal.alarm(0)


def run_test(results, module_name, name, function, fixture):
    start = time.monotonic()
    case = harness.Case(name)
    _, problem = guarded(function, case, fixture)
    _, end_problem = guarded(case.close, problem is not None)
    results.add(f"{module_name}.{name}", time.monotonic() - start, problem or end_problem)


def run_module(results, module_name, tests, module):
    start = time.monotonic()
    case = harness.Case(module_name)
    fixture, problem = None, None
    if hasattr(module, "setup"):
        fixture, problem = guarded(module.setup, case)
    for name, function in tests:
        if problem is None:
            run_test(results, module_name, name, function, fixture)
        else:
            results.add(f"{module_name}.{name}", time.monotonic() - start, problem)
    # A crash or a sanitizer report of the daemon that all tests of the module shared.
    _, end_problem = guarded(case.close, problem is not None)
    if end_problem:
        results.add(f"{module_name}.end", time.monotonic() - start, end_problem)


# A long one that begins last is what all wait for.
LONG = ("t62_monitor", "t62_monitor_state", "t81_explain", "t83_kill", "t63_announce", "t91_takeover", "t91_takeover_fails", "t47_crowd",
        "t65_monitor_reload", "t78_state", "t71_freshness", "t61_site", "t64_many", "t40_tcp")


def module_names():
    return sorted(info.name for info in pkgutil.iter_modules([FOLDER]) if info.name[0] == "t" and info.name[1:2].isdigit())


def is_asked(module_name, wanted):
    return not wanted or any(module_name.startswith(prefix.split(".")[0]) for prefix in wanted)


def run_jobs(jobs, options, wanted, results):
    """Modules beside each other. What they print comes whole, when they have ended."""
    names = [name for name in module_names() if is_asked(name, wanted)]
    names.sort(key=lambda name: LONG.index(name) if name in LONG else len(LONG))
    os.environ["TEST_GEO_DIR"] = harness.geo_dir()

    def run_one(name):
        tests = [prefix for prefix in wanted if name.startswith(prefix.split(".")[0])]
        exact = [prefix if "." in prefix else f"{name}." for prefix in tests] or [f"{name}."]
        done = subprocess.run([sys.executable, os.path.abspath(__file__), *options, *exact], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        counts = re.search(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", done.stdout, re.M)
        lines = done.stdout[:counts.start()] if counts else done.stdout
        print("".join(line + "\n" for line in lines.splitlines() if not line.startswith("functional tests took")), end="", flush=True)
        if counts:
            return [int(count) for count in counts.groups()]
        if done.stdout.startswith("no test is called"):  # all of it is unwanted
            return [0, 0, 0]
        print(f"FAIL {name}: it did not get to its end, status {done.returncode}", flush=True)
        return [0, 1, 0]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for passed, failed, skipped in pool.map(run_one, names):
            results.passed += passed
            results.failed += failed
            results.skipped += skipped


def main(arguments):
    verbose = "-v" in arguments
    if "-h" in arguments or "--help" in arguments:
        print(__doc__.strip())
        return 0
    wanted = [argument for argument in arguments if not argument.startswith("-")]
    unwanted = tuple(name for argument in arguments if argument.startswith("--not=") for name in argument[6:].split(","))
    results = Results(verbose)
    signal.signal(signal.SIGALRM, give_up)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of atexit, so that nothing is left behind
    start = time.monotonic()
    jobs = max((int(argument[7:]) for argument in arguments if argument.startswith("--jobs=")), default=0)
    if jobs > 0:
        run_jobs(jobs, [argument for argument in arguments if argument.startswith("-") and not argument.startswith("--jobs=")],
                 wanted, results)
    met = set()
    for module_name in module_names() if jobs == 0 else []:
        if not is_asked(module_name, wanted):
            continue
        module = importlib.import_module(module_name)
        # In the order of the file: basics first.
        tests = [(name[len("test_"):], function) for name, function in vars(module).items()
                 if name.startswith("test_")]
        met.update(prefix for prefix in wanted for name, _ in tests if f"{module_name}.{name}".startswith(prefix))
        if unwanted:
            tests = [(name, function) for name, function in tests if not f"{module_name}.{name}".startswith(unwanted)]
        if wanted:
            tests = [(name, function) for name, function in tests
                     if any(f"{module_name}.{name}".startswith(prefix) for prefix in wanted)]
        if tests:
            run_module(results, module_name, tests, module)
    unknown = [prefix for prefix in wanted if prefix not in met and jobs == 0]
    if unknown or wanted and results.passed + results.failed + results.skipped == 0:
        print(f"no test is called {' '.join(unknown or wanted)}")
        return 2
    print(f"functional tests took {time.monotonic() - start:.0f} s")
    print(f"{results.passed} passed, {results.failed} failed, {results.skipped} skipped")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
