"""mirrormon --once, as cron runs it: each run goes on where the one before has ended."""
import contextlib
import hashlib
import json
import sqlite3

from harness import Failure, check, check_equal, cvd_file, run, wait_until
from mirror_world import MIRRORMON, MirrorWorld


def once(world, site):
    status, text = run(["ip", "netns", "exec", world.name, MIRRORMON, "-c", site.file("mirrormon.conf"), "--once"])
    check_equal(status, 0, text)
    with open(site.file("feed.json")) as file:
        return json.load(file), text


def history(site, query):
    """Rows of a query of its history."""
    with contextlib.closing(sqlite3.connect(site.file("mon/history.db"))) as database, database:
        return database.execute(query).fetchall()


def out(feed):
    return {entry["mirror"]: entry["reason"] for entry in feed["excluded"]}


def whole_cvd(version):
    """With the MD5 that it has, which cvd_file() does not care for. Not signed either."""
    content = cvd_file(version)
    return content.replace(b"0123456789abcdef" * 2, hashlib.md5(content[512:]).hexdigest().encode(), 1)


def test_gate_goes_on(case, _):
    """A version that has its quorum in one run is announced by a later one, when the time to settle is over; then it stays."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}"]) for i in range(1, 4)])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    site = case.site()
    world.write_monitor(site, announce={"settle": '"1h"'})
    feed, text = once(world, site)
    check("version ready: database=daily version=100" in text, text)
    check("versions" not in feed, f"announced before the mirrors that lack it have left: {feed}")

    # The time to settle goes on from the first run.
    world.write_monitor(site, announce={"settle": '"1s"'})
    runs = []

    def announced():
        runs.append(once(world, site)[0])
        return runs[-1].get("versions", {}).get("daily") == 100
    wait_until(announced, "version 100 is announced by a later run")
    feed, text = once(world, site)
    check_equal(feed["versions"]["daily"], 100, "the version announced by the run after that")
    if "version ready" in text or "version announced" in text:
        raise Failure(f"what is announced was announced anew: {text}")
    serials = [one["serial"] for one in runs] + [feed["serial"]]
    check_equal(serials, sorted(set(serials)), "serials of the feeds")


def test_prunes_everybody(case, _):
    """Checks older than a week become means in one run, of more addresses than are looked at at a time."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}"]) for i in range(1, 81)])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    site = case.site()
    world.write_monitor(site)
    once(world, site)
    history(site, "UPDATE results SET at_s = at_s - 10 * 86400")
    once(world, site)
    old = "SELECT count(*), count(DISTINCT address) FROM results WHERE at_s < unixepoch() - 9 * 86400"
    check_equal(history(site, old), [(0, 0)], "checks that are older than nine days, and of how many addresses")
    for means in "hours", "days":
        check_equal(history(site, f"SELECT count(DISTINCT address) FROM {means}"), [(80,)], f"addresses with means in {means}")
    check_equal(history(site, "SELECT count(DISTINCT address) FROM results"), [(80,)], "addresses with a check of the second run")


def test_lot(case, _):
    """One mirror is drawn in a run, nobody else by the runs until deep-interval has passed, then another one."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}"]) for i in range(1, 5)])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})  # its MD5 is wrong: who is drawn is out
    world.push()
    site = case.site()
    world.write_monitor(site, checks={"deep_interval": '"1h"'})
    first = out(once(world, site)[0])
    check_equal(list(first.values()), ["wrong-content"], "who is out after one run")
    for _ in range(3):
        check_equal(out(once(world, site)[0]), first, "who is out after a run within the interval")

    def is_another():
        history(site, "UPDATE numbers SET number = number - 3500 WHERE key = 'deep-at'")
        return out(once(world, site)[0]).items() > first.items()
    wait_until(is_another, "another one is drawn in a run after the interval")


def test_suspects(case, _):
    """Who looks odd is checked whole in the same run: a version that went back since the run before, another build time than the references'."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}"]) for i in range(1, 9)])
    world.release({"daily": whole_cvd(100)}, {"daily-100.cdiff": b"ClamAV-Diff:100", "daily-99.cdiff": b"ClamAV-Diff:99"})
    world.push()
    site = case.site()
    # Whoever the lot falls on is good.
    world.write_monitor(site, checks={"deep_interval": '"1h"'}, announce={"settle": '"1h"'})
    check_equal(out(once(world, site)[0]), {}, "who is out before")
    # More than are looked at at a time.
    back, rebuilt = world.mirrors[2], world.mirrors[3:]
    back.put("daily.cvd", cvd_file(99), 1624410840)
    for mirror in rebuilt:
        mirror.put("daily.cvd", cvd_file(100, stime=1624410841), 1624410841)
    wholes = len(whole_requests(world))
    feed, text = once(world, site)
    check_equal(out(feed), {mirror.host: "wrong-content" for mirror in [back, *rebuilt]}, f"who is out after:\n{text}")
    check_equal(sorted(whole_requests(world)[wholes:]), [mirror.addresses[0] for mirror in [back, *rebuilt]], "who was asked for a whole database")


def whole_requests(world):
    """Addresses that were asked for a whole database, as nginx has seen it."""
    with open(world.path("logs/access.log")) as file:
        return [line.split()[0] for line in file if line.split()[1:4] == ["200", "GET", "/daily.cvd"]]
