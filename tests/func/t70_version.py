"""The version record: what every client in the world polls; where its numbers come from and what they survive."""
import os
import re
import shutil
import time

from harness import (TCP, ask, check, check_equal, check_negative, check_within, cvd_file, cvd_header, is_aa, records,
                     text_of, wait_until)

MIRRORS = [("m1.de.example", "DE", ["192.0.2.1"])]
RECORD = "current.cvd.clamav.test"


def fields(daemon, name=RECORD):
    return text_of(ask(daemon, name, "TXT")).split(":")


def numbers(daemon):
    """main, daily, safebrowsing, bytecode as announced."""
    got = fields(daemon)
    return got[1], got[2], got[6], got[7]


def directory_site(case, versions, more="", **conf):
    """A site whose record comes from cvd/, with these files in it."""
    site = case.site()
    for name, version in versions.items():
        site.write(f"cvd/{name}.cvd", cvd_file(version))
    site.pool_site(MIRRORS, versions=f'{{ name = "current.cvd"; directory = "cvd"; software = "1.4.3"; flevel = 90; '
                                     f'warning = true; database-names = "%d.cvd"; ttl = "2m"; {more} }}', **conf)
    return site


def start(case, versions=None, **keywords):
    site = directory_site(case, versions or {"main": 62, "daily": 27500, "bytecode": 335}, **keywords)
    daemon = case.daemon(site)
    daemon.site = site
    return daemon


def setup(case):
    """One daemon with fixed numbers and the shortest renewal there is; started first, so that it has time to pass."""
    site = case.site().pool_site(MIRRORS, versions="""{ name = "current.cvd"; software = "0.99.2"; flevel = 63; warning = true;
		main = 58; daily = 23538; bytecode = 305; safebrowsing = 46137; ttl = "5m"; renew = "10s"; database-names = "%d.cvd"; },
		{ name = "quiet.cvd"; software = "1.4.3"; main = 1; daily = 2; bytecode = 3; }""")
    daemon = case.daemon(site)
    daemon.started_s = int(time.time())
    return daemon


def test_exact(case, daemon):
    """software:main:daily:time:warning:flevel:safebrowsing:bytecode, in this order, with the time of the check."""
    answer = ask(daemon, RECORD, "TXT")
    text = text_of(answer)
    check(re.fullmatch(r"0\.99\.2:58:23538:\d{10}:1:63:46137:305", text), text)
    at = int(text.split(":")[3])
    check(daemon.started_s - 5 <= at <= time.time(), f"time field {at}, now {time.time():.0f}")
    check_equal((answer.answer[0].ttl, is_aa(answer)), (300, True), "TTL, AA")
    quiet = fields(daemon, "quiet.cvd.clamav.test")
    check_equal(quiet[:3] + quiet[4:], ["1.4.3", "1", "2", "0", "90", "49192", "3"], "record of defaults")


def test_lean(case, daemon):
    """One record, one string, nothing else, and the whole message within 512 bytes: over UDP, TCP, with EDNS."""
    for keywords in ({}, {"transport": TCP}, {"edns": 4096}, {"ecs": "192.0.2.0/24"}, {"rd": True}):
        answer = ask(daemon, RECORD, "TXT", **keywords)
        text_of(answer)
        check_equal(records(answer.authority) + records(answer.additional), [], "other sections")
        check(len(answer.raw) < 512, f"{len(answer.raw)} bytes")
    check_equal(len(ask(daemon, "CURRENT.CVD.CLAMAV.TEST", "TXT").answer), 1, "answers in capitals")


def test_other_types(case, daemon):
    """The name has a TXT record only; old resolvers ask for A too."""
    for rdtype in ("A", "AAAA", "MX", "CNAME"):
        check_negative(ask(daemon, RECORD, rdtype), "NOERROR", "clamav.test.", 300)
    check_equal(len(ask(daemon, RECORD, "ANY").answer), 1, "answers to ANY")


def test_database_names(case, daemon):
    """NAME.cvd: version and time; only for databases that there are."""
    at = fields(daemon)[3]
    for name, version in (("main", "58"), ("daily", "23538"), ("bytecode", "305"), ("safebrowsing", "46137")):
        got = fields(daemon, f"{name}.cvd.clamav.test")
        check_equal((got[0], len(got)), (version, 2), f"{name}.cvd")
        check(int(got[1]) >= int(at), f"time of {name}.cvd")
    check_negative(ask(daemon, "test.cvd.clamav.test", "TXT"), "NXDOMAIN", "clamav.test.", 300)


def test_directory(case, _):
    """Numbers from the headers of .cvd files; safebrowsing, which has no file, from the default."""
    daemon = start(case)
    check_equal(numbers(daemon), ("62", "27500", "49192", "335"), "main, daily, safebrowsing, bytecode")
    check_equal(ask(daemon, RECORD, "TXT").answer[0].ttl, 120, "TTL")


def test_fallback_numbers(case, _):
    """A number of the configuration stands in for a file that is not there, and gives way to it."""
    daemon = start(case, {"main": 62, "daily": 27500}, more="bytecode = 300; daily = 1;")
    check_equal(numbers(daemon), ("62", "27500", "49192", "300"), "numbers")
    daemon.site.write("cvd/bytecode.cvd", cvd_file(336))
    wait_until(lambda: numbers(daemon)[3] == "336", "the file's number")


def test_watch(case, _):
    """A new file is announced at once, whichever way it was written."""
    daemon = start(case, more='renew = "1h";')  # it is not that which finds the file
    site = daemon.site
    for version in range(27501, 27511):
        site.write("cvd/daily.cvd", cvd_file(version))
        begin = time.monotonic()
        wait_until(lambda: numbers(daemon)[1] == str(version), f"daily {version} renamed into place")
        check_within(time.monotonic() - begin, 2, "from the rename to the record")
    with open(site.file("cvd/main.cvd"), "wb") as file:
        file.write(cvd_file(63))
    wait_until(lambda: numbers(daemon)[0] == "63", "main 63 written in place")


def refused(daemon, name, data, words):
    """A file that is no good: told, and the record keeps its numbers."""
    before = numbers(daemon)
    mark = daemon.log.mark()
    daemon.site.write(f"cvd/{name}.cvd", data)
    daemon.log.wait(rf"{name}\.cvd.*({words})", mark)
    check_equal(numbers(daemon), before, f"numbers after a bad {name}.cvd")


def test_bad_files(case, _):
    """Short, empty, garbage, another kind of file, no numbers: refused by name, the record stays."""
    daemon = start(case)
    good = cvd_file(27600)
    for data in (b"", good[:11], good[:100], good[:511], b"ClamAV-VDB:" + b" " * 600, b"\x1f\x8b" + bytes(600),
                 b"ClamAV-Diff:27600:100:" + bytes(600), good.replace(b":27600:", b":x7600:"),
                 good.replace(b":27600:", b"::"), good.replace(b":27600:", b":-5:"), good.replace(b":27600:", b":0:"),
                 good.replace(b":27600:", b":99999999999999999999:"), cvd_header(27600).replace(b" ", b"\0"),
                 case.random.randbytes(2000), b"clamav-vdb" + good[10:]):
        refused(daemon, "daily", data, "keeps its last value")
    daemon.site.write("cvd/daily.cvd", good)
    wait_until(lambda: numbers(daemon)[1] == "27600", "the good one")


def test_lower_version(case, _):
    """A version lower than the one served: refused; it was a mistake, or an attack."""
    daemon = start(case)
    for version in (27499, 1):
        refused(daemon, "daily", cvd_file(version), "lower than 27500")
    daemon.reload()
    check_equal(numbers(daemon)[1], "27500", "daily after a reload")
    daemon.site.write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: numbers(daemon)[1] == "27501", "the next version")


def test_old_header(case, _):
    """Headers of the oldest files have no time in seconds; the record takes them."""
    daemon = start(case)
    header = cvd_header(27777).rstrip().rsplit(b":", 1)[0].ljust(512)
    daemon.site.write("cvd/daily.cvd", header + b"body")
    wait_until(lambda: numbers(daemon)[1] == "27777", "a header of eight fields")


def test_extra_database(case, _):
    """test.cvd and third-party names: a record of their own, as soon as the file is there."""
    daemon = start(case)
    check_negative(ask(daemon, "test.cvd.clamav.test", "TXT"), "NXDOMAIN", "clamav.test.", 300)
    daemon.site.write("cvd/test.cvd", cvd_file(6))
    wait_until(lambda: ask(daemon, "test.cvd.clamav.test", "TXT").answer, "a record for test.cvd")
    got = fields(daemon, "test.cvd.clamav.test")
    check_equal((got[0], len(got)), ("6", 2), "test.cvd")
    check_equal(numbers(daemon), ("62", "27500", "49192", "335"), "the main record")
    # One that is no good does not spoil the others.
    daemon.site.write("cvd/valhalla.cvd", b"garbage")
    daemon.site.write("cvd/daily.cvd", cvd_file(27501))
    wait_until(lambda: numbers(daemon)[1] == "27501", "daily beside a bad third-party file")
    check_negative(ask(daemon, "valhalla.cvd.clamav.test", "TXT"), "NXDOMAIN", "clamav.test.", 300)


def test_odd_files(case, _):
    """What lies about in a directory: other files, folders, pipes, dead links. Nothing hangs, nothing is announced."""
    site = directory_site(case, {"main": 62, "daily": 27500, "bytecode": 335})
    for name in ("README", "daily-27500.cdiff", ".hidden.cvd", "UPPER.cvd", "a b.cvd", "a.b.cvd", ".cvd", "x" * 60 + ".cvd"):
        site.write(f"cvd/{name}", cvd_file(9999))
    os.mkdir(site.file("cvd/folder.cvd"))
    os.mkfifo(site.file("cvd/pipe.cvd"))
    os.symlink("/nonexistent", site.file("cvd/dead.cvd"))
    daemon = case.daemon(site)
    check_equal(numbers(daemon), ("62", "27500", "49192", "335"), "numbers")
    for name in ("folder", "pipe", "dead", "hidden", "upper"):
        check_negative(ask(daemon, f"{name}.cvd.clamav.test", "TXT"), "NXDOMAIN", "clamav.test.", 300)


def test_lost_source(case, _):
    """The directory is gone: the numbers stay, the time stops, so that clients notice in time; then it is back."""
    daemon = start(case)
    before = fields(daemon)
    shutil.move(daemon.site.file("cvd"), daemon.site.file("cvd.away"))
    wait_until(lambda: int(time.time()) > int(before[3]), "the next second")
    lines = daemon.reload()
    check(any("cvd" in line and "not renewed" in line for line in lines), "no word of it:\n" + "\n".join(lines))
    check_equal(fields(daemon), before, "record without its source")
    shutil.move(daemon.site.file("cvd.away"), daemon.site.file("cvd"))
    daemon.reload()
    after = fields(daemon)
    check(int(after[3]) > int(before[3]), f"time {before[3]} before, {after[3]} after")
    check_equal(after[:3], before[:3], "numbers")


def test_renewed(case, daemon):
    """The time moves on by itself, every 10 s here, though nothing has changed."""
    first = int(fields(daemon)[3])
    wait_until(lambda: int(fields(daemon)[3]) > first, "a renewed time field", 40, 0.1)
    check(abs(int(fields(daemon)[3]) - time.time()) < 25, "the time field is about now")
