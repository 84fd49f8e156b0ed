"""The exclusion feed: followed live, and what happens when it is wrong, too much, or old."""
import json
import os
import re
import shutil
import time

from harness import DNSD, TOP, Lookups, addresses, ask, check, check_equal, check_negative, run, wait_until

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)] + [
    ("m1.at.example", "AT", ["192.0.2.21", "2001:db8::21"]),
    ("m1.fr.example", "FR", ["198.51.100.1", "198.51.100.2"])]
REGIONS = """regions = ( { name = "europe"; countries = [ "DE", "AT", "FR" ]; } );
neighbours = ( { country = "DE"; near = [ "AT" ]; } );
"""
DE = {f"192.0.2.{i}" for i in range(1, 5)}


def feed(serial, excluded=(), **more):
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial, "excluded": list(excluded)} | more)


def out(mirror, reason="unreachable"):
    return {"mirror": mirror, "reason": reason}


class World:
    """A daemon that follows feed.json."""

    def __init__(self, case, text=None, **pool):
        self.site = case.site()
        if text is not None:
            self.site.write("feed.json", text)
        keys = {"feed": '"feed.json"', "max_removal": 80} | pool
        self.site.pool_site(MIRRORS, regions=REGIONS, pool=keys)
        self.daemon = case.daemon(self.site)

    def write(self, text):
        """Returns the mark of the log before."""
        mark = self.daemon.log.mark()
        self.site.write("feed.json", text)
        return mark

    def members(self, name="db.de", rdtype="A"):
        return set(addresses(ask(self.daemon, f"{name}.clamav.test", rdtype)))

    def wait_members(self, want, name="db.de"):
        wait_until(lambda: self.members(name) == want, f"{name} is {sorted(want)}, not {sorted(self.members(name))}")


def test_followed(case, _):
    """One mirror out, another one, all in again: by rename alone, without a signal."""
    world = World(case, feed(1))
    check_equal(world.members(), DE, "all in")
    mark = world.write(feed(2, [out("m2.de.example")]))
    world.wait_members(DE - {"192.0.2.2"})
    world.daemon.log.wait(r"pool clamav: feed serial 2 in force: 1 of 6 mirrors out", mark)
    world.write(feed(3, [{"address": "192.0.2.3", "reason": "late", "since": "2026-11-20T00:00:00Z", "detail": "slow disk"}]))
    world.wait_members(DE - {"192.0.2.3"})
    world.write(feed(4))
    world.wait_members(DE)


def test_at_start(case, _):
    """A feed that is there at the start is in force with the first answer."""
    world = World(case, feed(9, [out("m1.de.example"), out("m2.de.example")]))
    check_equal(world.members(), {"192.0.2.3", "192.0.2.4"}, "members")


def test_no_feed_yet(case, _):
    """No file: everybody is in, and the log says that there is none; it is followed once it comes."""
    world = World(case)
    check_equal(world.members(), DE, "members")
    world.daemon.log.wait(r"feed\.json: cannot read the feed: No such file")
    world.write(feed(1, [out("m1.de.example")]))
    world.wait_members(DE - {"192.0.2.1"})


def test_plain(case, _):
    """The form for people and cron jobs."""
    world = World(case, "# nobody\n")
    world.write("serial 5\n192.0.2.1 unreachable no answer since noon\nm2.de.example  slow\t# for a week now\n\n")
    world.wait_members({"192.0.2.3", "192.0.2.4"})


def test_one_address(case, _):
    """One of two addresses out; then one family."""
    world = World(case, feed(1))
    world.write(feed(2, [{"address": "198.51.100.1", "reason": "http-error"}]))
    world.wait_members({"198.51.100.2"}, "db.fr")
    world.write(feed(3, [{"address": "2001:db8::21", "reason": "unreachable"}]))
    world.wait_members({"198.51.100.1", "198.51.100.2"}, "db.fr")
    check_equal(world.members("db.at"), {"192.0.2.21"}, "IPv4 of db.at")
    check_negative(ask(world.daemon, "db.at.clamav.test", "AAAA"), "NOERROR", "clamav.test.", 300)


def test_borrowed(case, _):
    """All of a country out: its neighbour helps; late ones are better than the neighbour; wrong ones are not."""
    world = World(case, feed(1), feed_hold='"1s"')
    world.write(feed(2, [out(f"m{i}.de.example") for i in range(1, 5)]))
    world.wait_members({"192.0.2.21"})
    world.write(feed(3, [out(f"m{i}.de.example", "late" if i == 2 else "unreachable") for i in range(1, 5)]))
    world.wait_members({"192.0.2.2"})
    world.write(feed(4, [out(f"m{i}.de.example", "wrong-content") for i in range(1, 5)]))
    world.wait_members({"192.0.2.21"})


def test_weights(case, _):
    """A returning mirror gets a tenth of its weight: first in one of 31 answers."""
    world = World(case, feed(1))
    mark = world.write(feed(2, weights=[{"mirror": "m1.de.example", "factor": 0.1}]))
    world.daemon.log.wait(r"feed serial 2 in force", mark)
    # Each worker counts by itself: one client socket is one worker.
    with Lookups(world.daemon.addr) as lookups:
        first = [addresses(lookups.ask("db.de.clamav.test"))[0] for _ in range(310)]
    check(5 <= first.count("192.0.2.1") <= 15, f"first in {first.count('192.0.2.1')} of 310")


BAD = [
    ("empty", "", "the file is empty"),
    ("cut off", feed(7, [out("m1.de.example")])[:-9], "no JSON, or cut off"),
    ("not JSON", "{ serial: 7 }", "no JSON"),
    ("garbage", "\x00\x01\x02\n", "no feed"),
    ("plain, cut off", "192.0.2.1 unreachable\n192.0.2.2 unr", "does not end"),
    ("no reason", "192.0.2.1\n", "stands without a reason"),
    ("another pool", json.dumps({"format": 1, "pool": "other", "serial": 7}), 'for pool "other"'),
    ("format", json.dumps({"format": 2, "serial": 7}), '"format" is not 1'),
    ("no serial", json.dumps({"format": 1}), 'no "serial"'),
    ("future", feed(7, generated=int(time.time()) + 4000), "in the future"),
    ("valid before generated", feed(7, generated=1000, **{"valid-until": 999}), '"valid-until" is before'),
    ("time", feed(7, generated="yesterday"), '"generated" is no time'),
    ("wrong type", json.dumps({"format": 1, "serial": 7, "excluded": {}}), '"excluded" is no list'),
    ("entry", feed(7, [{"mirror": "m1.de.example"}]), "entry 1 of"),
    ("both", feed(7, [out("m1.de.example") | {"address": "192.0.2.1"}]), "either"),
    ("deep", "{" + '"a":[' * 100 + "]" * 100 + "}", "deeper than 16"),
    ("twice", '{"format": 1, "serial": 7, "serial": 8}', "duplicate"),
    ("serial going back", feed(4), "serial 4 is lower than 5"),
]


def test_bad(case, _):
    """Each bad feed is refused with its reason, and the state stays; the next good one is followed."""
    world = World(case, feed(5, [out("m4.de.example")]))
    for what, text, message in BAD:
        mark = world.write(text)
        line = world.daemon.log.wait(message, mark)
        check("feed.json" in line.string, f"{what}: no file name in: {line.string}")
        check_equal(world.members(), DE - {"192.0.2.4"}, f"members after: {what}")
    lines = world.daemon.reload()
    check(any("is lower than" in line for line in lines), "a reload looks at the feed too")
    check_equal(world.members(), DE - {"192.0.2.4"}, "members after a reload")
    world.write(feed(6))
    world.wait_members(DE)


def test_not_a_file(case, _):
    """A FIFO, a folder, a huge file: refused at once, nothing waits."""
    world = World(case, feed(1), feed_max_bytes=2000)
    path = world.site.file("feed.json")
    mark = world.daemon.log.mark()
    os.mkfifo(path + ".new")
    os.rename(path + ".new", path)
    world.daemon.log.wait("it is not a regular file", mark)
    os.unlink(path)
    mark = world.write("#" * 3000 + "\n")
    world.daemon.log.wait("larger than feed-max-bytes", mark)
    world.write(feed(2, [out("m1.de.example")]))
    world.wait_members(DE - {"192.0.2.1"})


def test_entries_ignored(case, _):
    """What one entry gets wrong does not cost the others."""
    world = World(case, feed(1))
    mark = world.write(feed(2, [out("m9.de.example"), out("m1.de.example", "tired"), {"address": "192.0.2.99", "reason": "old"},
                                out("m2.de.example"), out("not a host")], comment="hello"))
    world.wait_members(DE - {"192.0.2.2"})
    for pattern in ('has no mirror or address "m9.de.example"', 'unknown reason "tired"', 'has no mirror or address "192.0.2.99"',
                    '"not a host" is neither', 'unknown key "comment"'):
        world.daemon.log.wait(pattern, mark)


def test_breaker(case, _):
    """A feed that takes out too much is held, and comes into force when it persists."""
    world = World(case, feed(1), max_removal=30, feed_hold='"4s"')
    mark = world.write(feed(2, [out("m1.de.example"), out("m2.de.example")]))
    held = time.monotonic()
    world.daemon.log.wait(r"serial 2 takes out 2 of 6 mirrors at once: held back for 4 s", mark)
    check_equal(world.members(), DE, "members while it is held")
    world.wait_members(DE - {"192.0.2.1", "192.0.2.2"})
    check(time.monotonic() - held >= 1, "it was not held")
    world.daemon.log.wait(r"serial 2 was held back and still says the same", mark)


def test_breaker_recovers(case, _):
    """The monitor comes to its senses while the feed is held: nothing ever happened."""
    world = World(case, feed(1), max_removal=30, feed_hold='"1h"')
    mark = world.write(feed(2, [out(f"m{i}.de.example") for i in (1, 2, 3)]))
    world.daemon.log.wait("held back", mark)
    mark = world.write(feed(3, [out("m1.de.example")]))
    world.wait_members(DE - {"192.0.2.1"})


def test_breaker_country(case, _):
    """So is one that empties a country of several mirrors, however small its share."""
    world = World(case, feed(1), max_removal=100, feed_hold='"1h"')
    mark = world.write(feed(2, [out(f"m{i}.de.example") for i in range(1, 5)]))
    world.daemon.log.wait("and empties country DE: held back", mark)
    check_equal(world.members(), DE, "members")


def test_stale(case, _):
    """Past valid-until the last state stays, with a shout."""
    world = World(case, feed(1, [out("m1.de.example")], **{"valid-until": int(time.time()) + 2}))
    world.daemon.log.wait(r"serial 1 was valid until [0-9TZ:-]+ and there is no newer one")
    check_equal(world.members(), DE - {"192.0.2.1"}, "members")


def test_checked(case, _):
    """dnsd -t says what is wrong with the feed; it is no reason not to start."""
    site = case.site()
    site.write("feed.json", "{")
    site.pool_site(MIRRORS, regions=REGIONS, pool={"feed": '"feed.json"'})
    status, text = run([DNSD, "-c", site.path, "-t"])
    check_equal(status, 0, f"exit status; {text}")
    check("feed.json" in text and "no JSON" in text, text)


def test_documented(case, _):
    """The example of docs/feed.md is a feed."""
    with open(os.path.join(TOP, "docs", "feed.md")) as file:
        text = re.search(r"```json\n(.*?)```", file.read(), re.S)[1]
    world = World(case, feed(1))
    mark = world.write(text)
    world.daemon.log.wait(r"pool clamav: feed serial 42 in force", mark)


def test_directory_replaced(case, _):
    """The feed's directory is taken away, and another put in its place later: followed as before, told once."""
    site = case.site()
    site.write("feeds/feed.json", feed(1))
    site.pool_site(MIRRORS, regions=REGIONS, pool={"feed": '"feeds/feed.json"', "max_removal": 80})
    daemon = case.daemon(site)
    shutil.rmtree(site.file("feeds"))
    daemon.log.wait("feeds: cannot watch this directory for changes: No such file or directory")
    site.write("feeds/feed.json", feed(2, [out("m1.de.example")]))
    daemon.log.wait("feed serial 2 in force")
    daemon.log.wait("feeds: this directory is watched again")
    site.write("feeds/feed.json", feed(3))
    daemon.log.wait("feed serial 3 in force")
    told = [line for line in daemon.log.lines if "cannot watch" in line or "watched again" in line]
    check_equal(len(told), 2, f"messages about the watch: {told}")
