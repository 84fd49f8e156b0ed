"""The version record when nobody verifies it any more, and when a feed says what is announced."""
import json
import shutil
import time

from harness import (DEADLINE_S, DNSD, Lookups, addresses, amount, ask, check, check_equal, check_negative, cvd_file, rcode_of, run, text_of,
                     wait_until)

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 5)]
RECORD = "current.cvd.clamav.test"
DAILY = "daily.cvd.clamav.test"
STALE_S, REFUSE_S = 2, 6
# What a busy machine may take over what is due; `make test-long` has a quiet one.
LATE_S = amount(10, 2.5, 10)


def rcode(daemon, name=RECORD):
    return rcode_of(ask(daemon, name, "TXT"))


def fields(daemon):
    return text_of(ask(daemon, RECORD, "TXT")).split(":")


def numbers(daemon):
    """main, daily, bytecode as announced."""
    got = fields(daemon)
    return int(got[1]), int(got[2]), int(got[7])


def record(source, more=""):
    renew = "" if "renew" in more else 'renew = "1s";'
    return f'{{ name = "current.cvd"; {source} software = "1.4.3"; database-names = "%d.cvd"; {renew} {more} }}'


def short(stale=STALE_S, refuse=REFUSE_S):
    return f'stale-after = "{stale}s"; refuse-after = "{refuse}s";'


def directory_daemon(case, more):
    site = case.site()
    for name, version in (("main", 62), ("daily", 27500), ("bytecode", 335)):
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    site.pool_site(MIRRORS, versions=record('directory = "cvd";', more))
    daemon = case.daemon(site)
    daemon.site = site
    return daemon


def feed(serial, daily, verified=None, excluded=(), **more):
    versions = {"verified": int(time.time()) if verified is None else verified, "main": 62, "daily": daily,
                "bytecode": 335}
    return json.dumps({"format": 1, "pool": "clamav", "serial": serial, "versions": versions | more,
                       "excluded": [{"mirror": mirror, "reason": "unreachable"} for mirror in excluded]})


def feed_daemon(case, text=None, more=""):
    site = case.site()
    if text is not None:
        site.write("feed.json", text)
    site.pool_site(MIRRORS, versions=record('feed = "clamav";', more), pool={"feed": '"feed.json"', "max_removal": 80})
    daemon = case.daemon(site)
    daemon.site = site
    return daemon


def lose(daemon):
    """The directory is gone. Returns the time of the last verification, as announced after that."""
    shutil.move(daemon.site.file("cvd"), daemon.site.file("cvd.away"))
    mark = daemon.log.mark()
    daemon.log.wait("cannot read the database directory", mark)
    return int(fields(daemon)[3])


def test_refused_in_time(case, _):
    """Fresh, stale, refused, each at its second; the other names do not care; back with the directory."""
    daemon = directory_daemon(case, short())
    verified = lose(daemon)
    mark = daemon.log.mark()
    line = daemon.log.wait(r"version record current\.cvd of clamav\.test: not verified since (\S+) \((\d+) s\); "
                           r"look after \S*/cvd$")
    check(verified + STALE_S - 1 <= time.time() <= verified + STALE_S + LATE_S, "stale at the wrong time")
    check_equal(line[1], time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(verified)), "time in the log")
    check_equal(rcode(daemon), "NOERROR", "rcode while stale")
    check_equal(int(fields(daemon)[3]), verified, "time field while stale")

    while rcode(daemon) == "NOERROR":
        now = time.time()
        check(now < verified + REFUSE_S + LATE_S, f"still answered {now - verified:.1f} s after the verification")
        time.sleep(0.01)
    now = time.time()
    # The clocks tell whole seconds: the verification was up to one after its number.
    check(verified + REFUSE_S - 1 <= now <= verified + REFUSE_S + LATE_S, f"refused {now - verified:.1f} s after it")
    for name in (RECORD, DAILY):
        check_equal(rcode(daemon, name), "SERVFAIL", f"rcode of {name}")
    daemon.log.wait(r"not verified since \S+ \(\d+ s\), now answered with SERVFAIL; look after", mark)
    check_equal(set(addresses(ask(daemon, "db.de.clamav.test"))), {f"192.0.2.{i}" for i in range(1, 5)}, "db.de")
    check_negative(ask(daemon, "nothing.clamav.test"), "NXDOMAIN", "clamav.test.", 300)
    # A reload changes nothing of it.
    daemon.reload()
    check_equal(rcode(daemon), "SERVFAIL", "rcode after a reload")

    mark = daemon.log.mark()
    shutil.move(daemon.site.file("cvd.away"), daemon.site.file("cvd"))
    wait_until(lambda: rcode(daemon) == "NOERROR", "an answer with the directory back")
    daemon.log.wait(r"version record current\.cvd of clamav\.test: verified again", mark)
    check(int(fields(daemon)[3]) >= verified + REFUSE_S, "a new time field")
    told = [line for line in daemon.log.since(0) if "not verified since" in line]
    check_equal(len(told), 2, "lines about one episode:\n" + "\n".join(told))


def test_by_itself(case, _):
    """Nothing else happens for an hour: both changes come by themselves, after one more look at the source."""
    rare = 'renew = "1h";' + short()
    by_directory = directory_daemon(case, rare)
    shutil.move(by_directory.site.file("cvd"), by_directory.site.file("cvd.away"))
    verified = int(time.time())
    by_feed = feed_daemon(case, feed(1, 27500, verified), rare)
    for daemon in (by_directory, by_feed):
        daemon.log.wait("not verified since")
    waiting = {daemon: int(fields(daemon)[3]) for daemon in (by_directory, by_feed)}
    while waiting:
        for daemon, at in list(waiting.items()):
            after = time.time() - at
            check(after <= REFUSE_S + LATE_S, f"still answered {after:.1f} s after it")
            if rcode(daemon) == "SERVFAIL":
                check(after >= REFUSE_S - 1, f"refused {after:.1f} s after it")
                del waiting[daemon]
        time.sleep(0.01)
    # Its source in order, a record is looked at before it would be stale.
    by_feed.site.write("feed.json", feed(2, 27501))
    wait_until(lambda: rcode(by_feed) == "NOERROR", "an answer by the feed")
    check_equal(numbers(by_feed)[1], 27501, "daily by the feed")
    shutil.move(by_directory.site.file("cvd.away"), by_directory.site.file("cvd"))
    by_directory.reload()
    first = int(fields(by_directory)[3])
    wait_until(lambda: int(fields(by_directory)[3]) > first, "verified again when it would be stale")


def test_never_refused(case, _):
    """refuse-after 0: stale is told, and that is all."""
    daemon = directory_daemon(case, short(1, 0))
    verified = lose(daemon)
    daemon.log.wait("not verified since")
    wait_until(lambda: time.time() > verified + 4, "four seconds")
    check_equal(rcode(daemon), "NOERROR", "rcode")


def test_fixed_numbers(case, _):
    """Fixed numbers are verified by being there."""
    site = case.site().pool_site(MIRRORS, versions=record("main = 62; daily = 27500; bytecode = 335;", short(4, 5)))
    daemon = case.daemon(site)
    first = int(fields(daemon)[3])
    while time.time() < first + 7:
        check_equal(rcode(daemon), "NOERROR", "rcode")
        time.sleep(0.05)
    check(int(fields(daemon)[3]) >= first + 3, "the time field moves on")
    check(not any("not verified" in line for line in daemon.log.since(0)), "stale fixed numbers")


def test_feed(case, _):
    """What the feed announces is announced at once, with the feed's time; a lower number is not."""
    at = int(time.time()) - 100
    daemon = feed_daemon(case, feed(1, 27500, at), 'renew = "1h";')  # it is not that which finds the feed
    check_equal((numbers(daemon), int(fields(daemon)[3])), ((62, 27500, 335), at), "the first answer")
    for serial in range(2, 7):
        daemon.site.write("feed.json", feed(serial, 27500 + serial, at + serial))
        wait_until(lambda: numbers(daemon)[1] == 27500 + serial, f"daily of serial {serial}")
        check_equal(int(fields(daemon)[3]), at + serial, "time field")
    before = fields(daemon)
    mark = daemon.log.mark()
    daemon.site.write("feed.json", feed(7, 27400, at + 50))
    daemon.log.wait("version 27400 of daily is lower than 27506, which is being served", mark)
    check_equal(fields(daemon), before, "record after a lower number")
    daemon.reload()
    check_equal(fields(daemon), before, "record after a reload")
    # Never from the future.
    daemon.site.write("feed.json", feed(8, 27510, int(time.time()) + 5000))
    wait_until(lambda: numbers(daemon)[1] == 27510, "the next feed")
    check(int(fields(daemon)[3]) <= time.time(), "a time field from the future")


def test_one_generation(case, _):
    """Who sees the new version sees the mirrors without the one that lacks it, and the other way round."""
    daemon = feed_daemon(case, feed(1, 27501))
    both = 0
    with Lookups(daemon.addr) as lookups:
        # Until the number of rounds, so that some of the changes fall between two questions.
        for serial in range(2, 40):
            out = "m1.de.example" if serial % 2 else "m2.de.example"
            gone = "192.0.2.1" if serial % 2 else "192.0.2.2"
            daemon.site.write("feed.json", feed(serial, 27500 + serial, excluded=[out]))
            end = time.monotonic() + DEADLINE_S
            changed = 0
            while not changed and time.monotonic() < end:
                # One of the two is asked first; the second may be newer, never older.
                if both % 2:
                    new_number = text_of(lookups.ask(RECORD, "TXT")).split(":")[2] == str(27500 + serial)
                    new_pool = gone not in addresses(lookups.ask("db.de.clamav.test"))
                    check(not new_number or new_pool, f"serial {serial}: the version before the exclusion")
                    changed = new_number
                else:
                    new_pool = gone not in addresses(lookups.ask("db.de.clamav.test"))
                    new_number = text_of(lookups.ask(RECORD, "TXT")).split(":")[2] == str(27500 + serial)
                    check(not new_pool or new_number, f"serial {serial}: the exclusion before the version")
                    changed = new_pool
            check(changed, f"serial {serial} was not followed")
            both += 1
    check_equal(both, 38, "rounds")


def test_feed_old(case, _):
    """A feed that verified long ago is refused at the start, and at its second later on."""
    daemon = feed_daemon(case, feed(1, 27500, int(time.time()) - 60), short())
    check_equal(rcode(daemon), "SERVFAIL", "rcode at the start")
    daemon.log.wait(r"not verified since \S+ \(1 min\), now answered with SERVFAIL; look after the feed of pool clamav$")
    verified = int(time.time())
    daemon.site.write("feed.json", feed(2, 27501, verified))
    wait_until(lambda: rcode(daemon) == "NOERROR", "an answer from a fresh feed")
    wait_until(lambda: rcode(daemon) == "SERVFAIL", "refused again")
    check(verified + REFUSE_S - 0.1 <= time.time() <= verified + REFUSE_S + LATE_S, f"refused {time.time() - verified:.1f} s after it")


def test_no_feed_yet(case, _):
    """Without numbers the record waits for the feed; with numbers they are where it starts."""
    daemon = feed_daemon(case)
    check_equal((rcode(daemon), rcode(daemon, DAILY)), ("SERVFAIL", "SERVFAIL"), "rcodes without a feed")
    daemon.site.write("feed.json", feed(1, 27500, test=6))
    wait_until(lambda: rcode(daemon) == "NOERROR", "a record from the first feed")
    check_equal(numbers(daemon), (62, 27500, 335), "numbers")
    wait_until(lambda: rcode(daemon, "test.cvd.clamav.test") == "NOERROR", "a name for a database of the feed")

    daemon = feed_daemon(case, more="main = 61; daily = 27000; bytecode = 334;")
    check_equal(numbers(daemon), (61, 27000, 334), "start values")
    daemon.site.write("feed.json", feed(1, 27500))
    wait_until(lambda: numbers(daemon) == (62, 27500, 335), "the feed's numbers")


def test_told(case, _):
    """What dnsd -t says of these keys, with file and line."""
    for source, more, words in (
            ('directory = "cvd"; feed = "clamav";', "", "directory and feed"),
            ('feed = "other";', "", 'there is no pool "other"'),
            ('feed = "clamav";', "", 'pool "clamav" has no feed'),
            ('directory = "cvd";', short(60, 60), "refuse-after is 1m, but must be over stale-after")):
        site = case.site()
        site.write("cvd/daily.cvd", cvd_file(1))
        site.pool_site(MIRRORS, versions=record(source, more))
        status, text = run([DNSD, "-c", site.path, "-t"])
        check_equal(status, 1, f"exit status of: {source} {more}; {text}")
        check(words in text and "dnsd.conf:" in text, text)
