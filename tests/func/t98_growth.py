"""A large pool: what it takes to start, and to have in memory."""
import os
import re
import sys

from harness import TOP, Skip, addresses, ask, check, check_equal, is_sanitized, wait_until

sys.path.append(os.path.join(TOP, "scripts"))
from bench_site import country_codes  # noqa: E402  (the path above)

MIRRORS = 10000
MEMORY_MAX_KB = 64 * 1024
RELOADS = 5
ARENA_LEN = 64 << 20


def test_memory(case, _):
    """10,000 mirrors: 64 MB after the start, and after reloads; what a load needs for a moment is given back."""
    countries = [code.upper() for code in country_codes() if code != "uk"]
    mirrors = [(f"m{i}.example.net", countries[i % len(countries)], [f"198.18.{i >> 8}.{i & 255}"]) for i in range(MIRRORS)]
    site = case.site().pool_site(mirrors, server='state-directory = "state"; control = "ctl.sock";')
    os.mkdir(site.file("state"))
    daemon = case.daemon(site)
    check_equal(len(addresses(ask(daemon, "db.de.clamav.test"))), 8, "addresses of a country with 40 mirrors")
    started_kb = daemon.rss_kb()
    for _ in range(RELOADS):
        daemon.reload()
    if is_sanitized():
        return
    check(started_kb < MEMORY_MAX_KB, f"{started_kb} KiB after the start")
    wait_until(lambda: daemon.rss_kb() < MEMORY_MAX_KB, f"less than {MEMORY_MAX_KB} KiB after reloads, now {daemon.rss_kb()}")
    print(f"{started_kb} KiB after the start, {daemon.rss_kb()} after {RELOADS} reloads")


def test_one_heap(case, _):
    """Loads are made by one thread and freed by another: in one heap, for of several each would grow to what a load needs."""
    daemon = case.daemon(case.site().pool_site([("m1.example.net", "DE", ["192.0.2.1"])], workers=2))
    for _ in range(RELOADS):
        daemon.reload()
    if is_sanitized():
        raise Skip("a sanitizer has an allocator of its own")
    with open(f"/proc/{daemon.pid}/maps") as file:
        maps = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ 0 *$", file.read(), re.MULTILINE)
    check(maps, "the server has memory without a file")
    # Glibc reserves a multiple of this for a further heap, and lets it be used from its start on.
    further = [start for start, _, rights in maps if rights == "rw-p" and int(start, 16) % ARENA_LEN == 0 and
               any(int(end, 16) == int(start, 16) + ARENA_LEN and other == "---p" for _, end, other in maps)]
    check_equal(further, [], "heaps beside the first one")
