"""A large pool: what it takes to start, and to have in memory."""
import os
import sys

from harness import TOP, addresses, ask, check, check_equal, is_sanitized, wait_until

sys.path.append(os.path.join(TOP, "scripts"))
from bench_site import country_codes  # noqa: E402  (the path above)

MIRRORS = 10000
MEMORY_MAX_KB = 64 * 1024
RELOADS = 5


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
