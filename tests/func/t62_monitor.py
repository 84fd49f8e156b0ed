"""mirrormon over real web servers, and dnsd that follows its signed feed: faults are switched, the answers change.

One world of 40 mirrors in twelve countries, checked once a second, for all tests; t63 and t64 are about versions and numbers.
"""
import json
import os
import re
import time

from harness import DEADLINE_S, Lookups, addresses, amount, ask, check, check_equal, is_sanitized, need_program, run, text_of, wait_until
from mirror_world import MirrorWorld, members
from t86_metrics import check_rules, parse_metrics

COUNTRIES = {"DE": 6, "US": 6, "FR": 4, "JP": 4, "GB": 3, "NL": 3, "SE": 3, "IT": 3, "AU": 2, "CZ": 2, "BR": 2, "ZA": 2}
MIRRORS = [(f"m{i}.{country.lower()}.example", country) for country, n in COUNTRIES.items() for i in range(1, n + 1)]
TEAM = "team@pool.example"
SENDMAIL = "#!/bin/sh\ncat >\"$(dirname \"$0\")/.$$\" && mv \"$(dirname \"$0\")/.$$\" \"$(dirname \"$0\")/letter-$$\"\n"
INTERVAL_S = 1
RAMP_S = 20
ATTEMPTS = amount(5, 2, 5)  # at what others on this machine may make take longer


class Pool:
    """The world, a monitor of all of it and the dnsd behind."""

    def __init__(self, case):
        mirrors = [(host, country, [f"192.0.2.{i}", f"2001:db8::{i:x}"]) for i, (host, country) in enumerate(MIRRORS, 1)]
        self.world = MirrorWorld(case, mirrors, more=[("new.de.example", "DE", ["198.51.100.1", "2001:db8:1::1"])],
                                 raw=[(f"h{i}.fr.example", "FR", [f"198.51.100.{i}"]) for i in range(101, 110)])
        self.world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:"})
        self.world.push(self.world.mirrors + self.world.more)
        self.site = case.site()
        self.make_mail()
        key = self.site.file("monitor")
        status, text = run([need_program("minisign"), "-G", "-W", "-p", key + ".pub", "-s", key + ".key"])
        check_equal(status, 0, f"minisign: {text}")
        with open(key + ".pub") as file:
            public = file.read().splitlines()[1]
        self.groups = {
            "monitor": {"feed-key": '"monitor.key"'}, "decision": {"ramp": f'"{RAMP_S}s"'}, "metrics": {"listen": '[ "127.0.0.1@0" ]'},
            "votes": {"file": '"vote.json"'}, "site": {"directory": '"html"', "interval": '"1s"'},
            "mail": {"team": f'"{TEAM}"', "sendmail": f'"{self.site.file("mail/sendmail")}"', "admin-after": "2"}}
        self.monitor = self.world.monitor(self.site, **self.groups)
        self.monitor.wait_feed()
        self.site.pool_site([(m.host, m.country, m.addresses) for m in self.world.mirrors],
                            versions='{ name = "current.cvd"; feed = "clamav"; software = "1.4.3"; database-names = "%d.cvd"; main = 62;'
                                     ' bytecode = 335; renew = "1s"; stale-after = "3s"; refuse-after = "1h"; }',
                            pool={"feed": '"feed.json"', "feed_key": f'"{public}"', "max_removal": 30, "feed_hold": '"10m"'})
        self.dnsd = case.daemon(self.site)

    def make_mail(self):
        self.site.write("mail/sendmail", SENDMAIL)
        os.chmod(self.site.file("mail/sendmail"), 0o755)

    def letters(self):
        found = []
        for name in os.listdir(self.site.file("mail")):
            if name.startswith("letter-"):
                with open(self.site.file(f"mail/{name}")) as file:
                    found.append(file.read())
        return found

    def forget_letters(self):
        for name in os.listdir(self.site.file("mail")):
            if name.startswith("letter-"):
                os.unlink(self.site.file(f"mail/{name}"))

    def of(self, country):
        """Addresses of the mirrors of a country."""
        return {address for mirror in self.world.mirrors if mirror.country == country for address in mirror.addresses}

    def wait_members(self, country, *but, deadline_s=None):
        """Until a country's name has all of its addresses but these."""
        want = self.of(country) - set(but)
        wait_until(lambda: members(self.dnsd, country) == want, f"db.{country.lower()} is {sorted(want)}", deadline_s)

    def wait_well(self):
        """Mend what a test has broken, until everybody is in, by the feed and in DNS."""
        self.world.heal()
        self.monitor.wait_out({})
        for country in COUNTRIES:
            self.wait_members(country)

    def leave_at_once(self, country, mirrors, breaks):
        """Until these are gone after breaks(): by the first check that finds it, within an interval. Mended and done again when it took longer."""
        limit_s = DEADLINE_S if is_sanitized() else INTERVAL_S * 1.1 + 2
        for _ in range(ATTEMPTS):
            serial = self.monitor.feed()["serial"]
            begin = time.monotonic()
            breaks()
            self.wait_members(country, *(address for mirror in mirrors for address in mirror.addresses))
            took = time.monotonic() - begin
            if took < limit_s:
                return serial
            self.wait_well()
        check(False, f"{took:.1f} s until they had left, where checks are {INTERVAL_S} s apart")

    def failures(self, mirror, since, status):
        """How many checks of each of its addresses have met this status since that place in the log of the mirrors."""
        with open(self.world.path("logs/access.log"), "rb") as file:
            file.seek(since)
            lines = file.read().decode().splitlines()
        return {address: sum(line.startswith(f"{address} {status} ") for line in lines) for address in mirror.addresses}

    def announced(self):
        """Daily in the TXT record; None before there is one."""
        answer = ask(self.dnsd, "current.cvd.clamav.test", "TXT")
        return text_of(answer).split(":")[2] if answer.answer else None

    def first_places(self, address, n):
        """The share of an address in the first places of its country's answers."""
        first = 0
        with Lookups(self.dnsd.addr) as lookups:
            for _ in range(n):
                first += addresses(lookups.ask("db.de.clamav.test"))[0] == address
        return first / n


def setup(case):
    return Pool(case)


def test_well(case, pool):
    """All are in; the version is announced; nobody has had a letter."""
    pool.wait_well()
    wait_until(lambda: pool.announced() == "100", "daily 100 in the TXT record")
    feed = pool.monitor.feed()
    check_equal((feed["excluded"], feed["weights"], feed["monitor"]), ([], [], "mon1.example"), "the feed")
    check_equal(pool.letters(), [], "letters")


def test_stale(case, pool):
    """A mirror whose timestamp has stopped leaves within one interval, and comes back with a tenth of its share."""
    mirror = pool.world.by_host["m1.de.example"]
    serial = pool.leave_at_once("DE", [mirror], lambda: mirror.stamp(time.time() - 3 * 3600))
    feed = pool.monitor.wait_feed(serial)
    check_equal([(e.get("mirror"), e["reason"]) for e in feed["excluded"] if "mirror" in e], [(mirror.host, "old")], "the feed")
    check(re.fullmatch(r"its timestamp is (2 h 59|3 h 00) min behind the newest", feed["excluded"][0]["detail"]), feed["excluded"][0])

    begin = time.monotonic()
    mirror.sync("timestamp")
    pool.wait_members("DE")
    weight = pool.monitor.feed()["weights"]
    check_equal([(w["mirror"], w["factor"]) for w in weight], [(mirror.host, 0.1)], "weights of the feed")
    share = pool.first_places(mirror.addresses[0], 600)
    # A tenth of a sixth when it begins; it has come back later than it was mended.
    most = min(0.1 + 0.9 * (time.monotonic() - begin) / RAMP_S, 1)
    check(share < most / (5 + most) + 0.03, f"{share:.1%} of the first places right after its return, {most:.0%} of a sixth is its share")


def test_at_once(case, pool):
    """Wrong content and a refusal: with the first check that finds it. Its admin hears of it, and what it is."""
    wrong, refused = (pool.world.by_host[host] for host in ("m1.us.example", "m2.us.example"))

    def breaks():
        pool.forget_letters()
        wrong.put("daily.cvd", b"<html>It works!</html>" * 100)
        refused.answer(403)
    pool.leave_at_once("US", [wrong, refused], breaks)
    pool.monitor.wait_out({wrong.host: "wrong-content", refused.host: "refused"})
    letter = wait_until(lambda: next((text for text in pool.letters() if f"admin@{wrong.host}" in text.split("\n\n")[0]), None), "a letter")
    check("wrong-content" in letter and "/daily.cvd" in letter, f"the letter:\n{letter}")
    wrong.sync("daily.cvd")
    refused.answer(None)
    pool.wait_members("US")


def test_faults(case, pool):
    """404, a redirect, nobody there, slow: after the checks that each of them takes, by its reason. One family: that address alone."""
    by_host = pool.world.by_host
    missing, moved, gone, slow, half = (by_host[f"m1.{c}.example"] for c in ("fr", "jp", "gb", "se", "nl"))
    mark = pool.monitor.log.mark()
    missing.answer(404)
    moved.answer(301)
    gone.down()
    slow.answer("slow")
    half.down(half.addresses[1])
    for mirror, reason, detail in ((missing, "http-error", "404 Not Found"), (moved, "http-error", r"301 .*elsewhere\.example"),
                                   (gone, "unreachable", "No route to host"), (slow, "slow", r"took longer than 1\.5 s")):
        pool.monitor.log.wait(rf"mirror {mirror.host}: none -> {reason}: .*{detail}", mark)
        pool.wait_members(mirror.country, *mirror.addresses)
    pool.wait_members("NL", half.addresses[1])
    pool.monitor.wait_out({missing.host: "http-error", moved.host: "http-error", gone.host: "unreachable", slow.host: "slow",
                           half.addresses[1]: "unreachable"})
    # It takes three checks in a row: two have only warned.
    status, text = pool.monitor.get()
    failed = re.search(rf'mirrormon_check_failures_total{{mirror="{gone.host}",family="ipv4",address="[^"]*",reason="unreachable"}} (\d+)', text)
    check(status == 200 and failed and int(failed[1]) >= 3, f"{failed and failed[0]}")
    check_equal([line for line in pool.monitor.log.since(mark) if f"mirror {half.host}:" in line], [], "lines about the mirror with one family")
    for mirror in missing, moved, gone, slow, half:
        mirror.answer(None)
        mirror.up()
    pool.wait_well()


def test_one_check(case, pool):
    """One failed check, or two: nobody leaves."""
    mirror = pool.world.by_host["m2.fr.example"]
    for _ in range(ATTEMPTS):
        before = pool.monitor.feed()
        since = os.path.getsize(pool.world.path("logs/access.log"))
        mirror.answer(503)
        wait_until(lambda since=since: any(pool.failures(mirror, since, 503).values()), "a failed check")
        mirror.answer(None)
        after = pool.monitor.wait_feed(before["serial"] + 1)
        in_dns = members(pool.dnsd, "FR")
        if max(pool.failures(mirror, since, 503).values()) < 3:
            break
        pool.wait_well()  # it was mended too late
    else:
        check(False, "no attempt with one failed check, or two")
    check(re.search(rf'check_failures_total{{mirror="{mirror.host}"', pool.monitor.get()[1]), "a failed check in the metrics")
    check_equal((after["excluded"], in_dns), ([], pool.of("FR")), "what is out after it")


def test_ramped(case, pool):
    """Later the one that was stale has its whole share again."""
    mirror = pool.world.by_host["m1.de.example"]
    wait_until(lambda: mirror.host not in [w["mirror"] for w in pool.monitor.feed()["weights"]], "its weight is whole", RAMP_S + DEADLINE_S)
    share = pool.first_places(mirror.addresses[0], 1500)
    check(0.12 < share < 0.22, f"{share:.1%} of the first places, where a sixth is its share")


def test_most_at_once(case, pool):
    """60 % gone in a moment, and the references well: the monitor says so, the breaker of dnsd keeps them. One letter."""
    pool.wait_well()
    pool.forget_letters()
    gone = [mirror for i, mirror in enumerate(pool.world.mirrors) if i % 5 < 3]
    check_equal(len(gone), 24, "60 % of the mirrors")
    mark, monitor_mark = pool.dnsd.log.mark(), pool.monitor.log.mark()
    pool.world.cut(*(address for mirror in gone for address in mirror.addresses))
    pool.monitor.wait_out({mirror.host: "unreachable" for mirror in gone})
    pool.dnsd.log.wait(r"takes out \d+ of 40 mirrors .*: held back", mark)
    serial = pool.monitor.feed()["serial"]
    pool.monitor.wait_feed(serial + 1)
    left = {country: members(pool.dnsd, country) for country in COUNTRIES}
    check(all(left.values()), f"addresses by country: {left}")
    hit = [m.host for m in pool.world.mirrors if not left[m.country].issuperset(m.addresses)]
    check(len(hit) <= 12, f"more than 30 % of 40 mirrors have left, or one of their families: {hit}")
    check(not any("self-test failed" in line for line in pool.monitor.log.since(monitor_mark)), "the self-test is to blame")
    letter = wait_until(lambda: [text for text in pool.letters() if re.search(r"^Subject: .*\d+ of 40", text, re.M)], "the digest")
    check_equal(len(letter), 1, "digests")
    pool.world.mend(*(address for mirror in gone for address in mirror.addresses))
    pool.wait_well()


def test_family_gone(case, pool):
    """The IPv6 of the monitor itself is broken, which references with IPv4 do not show: nobody leaves for it, and IPv4 is judged on."""
    pool.wait_well()
    mark = pool.monitor.log.mark()
    pool.world.cut(*(mirror.addresses[1] for mirror in pool.world.mirrors))
    pool.monitor.log.wait("IPv6 addresses can't be checked from here, they stay as they are: .*No route to host", mark)
    mirror = pool.world.by_host["m2.it.example"]
    mirror.answer(404)
    # Three checks that failed: those over IPv6 would have counted by then.
    pool.monitor.wait_out({mirror.addresses[0]: "http-error"})
    serial = pool.monitor.feed()["serial"]
    pool.monitor.wait_feed(serial + 1)
    check_equal(pool.monitor.out(), {mirror.addresses[0]: "http-error"}, "what is out")
    pool.wait_members("IT", mirror.addresses[0])
    check_equal([line for line in pool.monitor.log.since(mark) if "to=unreachable" in line], [], "addresses that became unreachable")
    pool.wait_well()


def test_refused_seldom(case, pool):
    """dnsd does not take every feed that it catches between the renames of signature and feed for one that was changed."""
    refused = [line for line in pool.dnsd.log.since(0) if "made for other bytes" in line]
    check(len(refused) <= 1, f"{len(refused)} feeds were refused: {refused[:2]}")


def test_references_gone(case, pool):
    """No reference answers: nothing is decided, and log, metrics, health, vote and DNS say so. Then it goes on."""
    world, monitor = pool.world, pool.monitor
    mirror = world.by_host["m2.se.example"]
    pool.wait_well()
    mark, dnsd_mark = monitor.log.mark(), pool.dnsd.log.mark()
    check_equal(monitor.get("/healthz")[0], 200, "health before")
    world.cut(*(address for reference in world.references for address in reference.addresses))
    # One that was under way may have been cut off in the middle.
    monitor.log.wait("self-test failed, nothing is decided: 0 of 3 references are well; .*(No route to host|not finished after)", mark)
    mirror.put("daily.cvd", b"nonsense")
    frozen = monitor.feed()
    # What mirrors say while nobody knows whether it is them.
    mended = world.by_host["m1.se.example"]
    mended.put("daily.cvd", b"nonsense")
    dropped = int(re.search(r"\nmirrormon_checks_dropped_total (\d+)", monitor.get()[1])[1])
    wait_until(lambda: int(re.search(r"\nmirrormon_checks_dropped_total (\d+)", monitor.get()[1])[1]) >= dropped + 12,
               "checks that found wrong content meanwhile")
    check_equal((monitor.feed(), members(pool.dnsd, "SE")), (frozen, pool.of("SE")), "feed and members after three checks")
    mended.sync("daily.cvd")

    def counted():
        return {found[1]: int(found[2]) for found in re.finditer(rf'mirrormon_checks_total{{mirror="{mended.host}",[^}}]*address="([^"]*)"}} (\d+)', monitor.get()[1])}
    before = counted()
    check_equal(len(before), 2, "addresses of the one that is mended")
    wait_until(lambda: all(number > before[address] for address, number in counted().items()), "a good check of each of them")
    check("\nmirrormon_self_ok 0\n" in monitor.get()[1], "mirrormon_self_ok is not 0")
    status, text = monitor.get("/healthz")
    check(status == 503 and "self-test: 0 of 3 references are well" in text, f"health: {status} {text}")

    def vote():
        with open(pool.site.file("vote.json")) as file:
            return json.load(file)
    wait_until(lambda: vote()["self-ok"] is False, "a vote that says so")
    pool.dnsd.log.wait("version record current.cvd of clamav.test: not verified since", dnsd_mark)

    world.mend(*(address for reference in world.references for address in reference.addresses))
    monitor.log.wait("self-test passed", mark)
    pool.wait_members("SE", *mirror.addresses)
    check_equal([line for line in monitor.log.since(mark) if f"mirror {mended.host}:" in line], [], "the one that was mended in time")
    check(monitor.feed()["serial"] > frozen["serial"], "a newer feed")
    mirror.sync("daily.cvd")
    pool.wait_well()


def test_reload(case, pool):
    """SIGHUP: a mirror that is added waits on probation, one that is removed leaves; a mistake changes nothing."""
    world, monitor, new = pool.world, pool.monitor, pool.world.more[0]
    removed = world.by_host["m2.za.example"]
    pool.wait_well()
    # So long that a feed is written meanwhile, and seen.
    probation = {"decision": pool.groups["decision"] | {"probation": '"4s"', "probation-max": '"5s"'}}
    world.write_monitor(pool.site, [m for m in world.mirrors if m is not removed] + [new], **pool.groups | probation)
    serial = monitor.feed()["serial"]
    monitor.reload()
    feed = wait_until(lambda: (feed := monitor.feed())["serial"] > serial and feed["excluded"] and feed, "a feed without the new one")
    # The family that was looked at first may be in already.
    for entry in feed["excluded"]:
        check(entry.get("mirror", entry.get("address")) in (new.host, *new.addresses), f"who is out after the reload: {entry}")
        check_equal((entry["reason"], entry["detail"]), ("out-of-sync", "new: on probation"), "and why")
    pool.dnsd.reload()
    pool.wait_members("ZA", *removed.addresses)
    monitor.wait_out({})
    wait_until(lambda: members(pool.dnsd, "DE") == pool.of("DE") | set(new.addresses), "the new one is in")
    check(new.host in [w["mirror"] for w in monitor.feed()["weights"]], "it does not begin with less")
    check(removed.host not in monitor.get()[1] and new.host in monitor.get()[1], "metrics of who is there")

    pool.site.write("mirrors.conf", "mirrors = ( { host = 5; } );\n")
    monitor.reload(fails=True)
    serial = monitor.feed()["serial"]
    check_equal(monitor.wait_feed(serial + 1)["excluded"], [], "the feed after a reload that failed")
    world.write_monitor(pool.site, **pool.groups)
    monitor.reload()
    pool.dnsd.reload()
    # It was well when it went: it is taken as it was.
    wait_until(lambda: monitor.get()[1].count(f'check_duration_seconds{{mirror="{removed.host}"') == 6, "it is checked again")
    pool.wait_well()


def test_metrics(case, pool):
    """Metrics as they are promised, for each mirror and address; health."""
    pool.wait_well()
    # The feed may be that of before the last reload.
    wait_until(lambda: '\nmirrormon_mirrors{reason="none"} 40\n' in pool.monitor.get()[1], "all mirrors in by the metrics")
    wait_until(lambda: '\nmirrormon_announced_version{database="daily"} 100\n' in pool.monitor.get()[1], "the version that is announced")
    status, text = pool.monitor.get()
    samples, types = parse_metrics(text)
    check_rules("mirrormon", samples, types)
    names = {name for name, _ in samples}
    for name in ("mirrormon_build_info", "mirrormon_self_ok", "mirrormon_feed_serial", "mirrormon_mirror_age_seconds",
                 "mirrormon_check_duration_seconds", "mirrormon_checks_total", "mirrormon_announced_version"):
        check(name in names, f"no {name}")
    check_equal(status, 200, "status")
    durations = [dict(labels) for name, labels in samples if name == "mirrormon_check_duration_seconds"]
    check_equal(len(durations), 80 * 3, "durations: 80 addresses, three phases")
    check_equal({tuple(sorted(labels)) for labels in durations}, {("address", "family", "mirror", "phase")}, "their labels")
    check_equal({labels["phase"] for labels in durations}, {"connect", "first-byte", "total"}, "phases")
    up = [value for (name, _), value in samples.items() if name == "mirrormon_mirror_up"]
    check_equal((len(up), sum(up)), (40, 40), "mirrors that are up")
    check_equal(pool.monitor.get("/healthz")[0], 200, "health")
    check_equal(pool.monitor.get("/nothing")[0], 404, "a page that is not there")
