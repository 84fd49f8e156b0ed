"""What outlives mirrormon: restarts, kills, damaged and full disks; several monitors and their votes; --once; mirrors that mean ill."""
import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import time

from harness import Skip, check, check_equal, geo_file, need_program, run, wait_until
from mirror_world import MIRRORMON, MirrorWorld, mirrormon

FAST = {"interval": '"400ms"', "retry": '"200ms"'}


def setup(case):
    mirrors = [(f"m{i}.{c.lower()}.example", c, [f"192.0.2.{n}", f"2001:db8::{n:x}"])
               for n, (c, i) in enumerate(((c, i) for c in ("DE", "FR") for i in range(1, 4)), 1)]
    world = MirrorWorld(case, mirrors, more=[("new.de.example", "DE", ["192.0.2.201"])], raw=[(f"h{i}.fr.example", "FR", [f"198.51.100.{100 + i}"]) for i in range(1, 11)])
    databases = {"daily": 100}
    if os.environ.get("DNSD_SIGNED_CVD_DIR"):
        with open(os.path.join(os.environ["DNSD_SIGNED_CVD_DIR"], "bytecode.cvd"), "rb") as file:
            databases["bytecode"] = file.read()
    world.release(databases, {"daily-100.cdiff": b"ClamAV-Diff:"})
    world.push()
    return world


def start(case, world, **groups):
    world.heal(case)
    groups["checks"] = FAST | groups.get("checks", {})
    monitor = world.monitor(case.site(), **groups)
    monitor.wait_feed()
    return monitor


def watch_feed(monitor, end, after):
    """All feeds that are seen until end() is true: each one whole, with a serial that rises."""
    seen = []

    def read():
        feed = monitor.feed()
        if feed["serial"] != (seen[-1]["serial"] if seen else after):
            check(feed["serial"] > (seen[-1]["serial"] if seen else after), f"serial {feed['serial']} after {seen[-1:] or after}")
            seen.append(feed)

    def look():
        read()
        is_end = seen and end()
        read()  # the one that end() has seen may be newer
        return is_end
    wait_until(look, "the end of a watch over the feed", every_s=0.005)
    return seen


def wait_announced(monitor, version=100):
    wait_until(lambda: monitor.feed().get("versions", {}).get("daily") == version, f"daily {version} in the feed")


def restart(world, monitor, end, how=None):
    """Another process in the same folder, and the feeds it writes until end(it) is true."""
    before = monitor.feed()
    if how == "kill":
        monitor.kill()
    elif how != "gone":
        monitor.stop()
    after = world.start_monitor(monitor.place)
    return after, watch_feed(after, lambda: end(after), before["serial"])


def test_restart(case, world):
    """Out before the restart, out after it, though mended meanwhile: only checks bring it back. Serials rise, versions stay."""
    monitor = start(case, world, decision={"probation": '"3s"', "probation-max": '"4s"'})
    wait_announced(monitor)
    mirror = world.by_host["m1.de.example"]
    mirror.answer(403)
    monitor.wait_out({mirror.host: "refused"})
    since = monitor.feed()["excluded"][0]["since"]
    for how in None, "kill":
        after, feeds = restart(world, monitor, lambda it: True, how)
        check_equal([(e["mirror"], e["reason"], e["since"]) for e in feeds[0]["excluded"]], [(mirror.host, "refused", since)],
                    f"the first feed after {how}")
        check_equal(feeds[0]["versions"]["daily"], 100, "its version")
        monitor = after
    monitor.stop()
    mirror.answer(None)
    monitor, feeds = restart(world, monitor, lambda it: it.out() == {}, "gone")
    check_equal([e["mirror"] for e in feeds[0]["excluded"]], [mirror.host], "out by the first feed, though mended")
    check(re.search("T.*Z info: mirror m1.de.example: refused -> none", "\n".join(monitor.log.lines)), "it came back by its checks")
    check_equal([w["mirror"] for w in feeds[-1]["weights"]], [mirror.host], "weights after its return")


def test_state_lost(case, world):
    """Without its state directory, and with a damaged one: said, begun anew, and the serial rises all the same."""
    monitor = start(case, world)
    wait_announced(monitor)
    for name in os.listdir(monitor.place.file("mon")):
        check(name in ("history.db", "history.db-wal", "history.db-shm"), f"in the state directory: {name}")
    monitor.kill()
    run(["rm", "-r", monitor.place.file("mon")])
    os.mkdir(monitor.place.file("mon"))
    # One that was written in a hurry is ahead of the clock.
    ahead = monitor.feed() | {"serial": int(time.time()) + 1000}
    monitor.place.write("feed.json", json.dumps(ahead))
    monitor, feeds = restart(world, monitor, lambda it: it.feed()["serial"] > ahead["serial"] + 1, "gone")
    check_equal([feed["excluded"] for feed in feeds], [[]] * len(feeds), "who is out")
    wait_announced(monitor)

    monitor.kill()
    for name in os.listdir(monitor.place.file("mon")):
        monitor.place.write(f"mon/{name}", os.urandom(8192))
    begin = monitor.feed()["serial"]
    monitor, _ = restart(world, monitor, lambda it: it.feed()["serial"] > begin + 1, "gone")
    monitor.log.wait(r"(error|warning): .*history\.db")
    check(any(name.startswith("history.db.damaged-") for name in os.listdir(monitor.place.file("mon"))), "the damaged one is kept aside")


def test_clock_back(case, world):
    """Checks of the future, as by a clock that has gone back, are thrown away when the monitor knows itself well, not before."""
    monitor = start(case, world, votes={"file": '"vote.json"'})
    monitor.stop()
    place, vote = monitor.place, monitor.place.file("vote.json")

    def checks_n():
        with contextlib.closing(sqlite3.connect(place.file("mon/history.db"))) as history:
            return history.execute("SELECT count(*) FROM results WHERE at_s > ?", (time.time() + 5 * 86400,)).fetchone()[0]
    with contextlib.closing(sqlite3.connect(place.file("mon/history.db"))) as history:
        history.execute("UPDATE results SET at_s = at_s + 10 * 86400")
        history.commit()
    before = checks_n()
    check(before > 0, "no checks were kept")
    for reference in world.references:
        reference.answer(403)
    monitor = world.start_monitor(place)
    monitor.log.wait("self-test failed")
    # The vote is written before the history is looked after, in the same turn: after the second, the first turn is over.
    for _ in range(2):
        os.unlink(vote)
        wait_until(lambda: os.path.exists(vote), "another vote")
    check_equal(checks_n(), before, "checks of the future while it is not well")
    for reference in world.references:
        reference.answer(None)
    wait_until(lambda: checks_n() == 0, "checks of the future are gone when it is well")


def test_read_only(case, world):
    """A state directory it may not write: said once, and it decides all the same."""
    world.heal(case)
    site = case.site()
    world.write_monitor(site, checks=FAST)
    os.chmod(site.file("mon"), 0o555)
    os.chmod(case.folder, 0o755)
    os.chmod(site.folder, 0o777)
    monitor = world.start_monitor(site, prefix=[need_program("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"])
    monitor.wait_feed()
    world.by_host["m1.fr.example"].answer(403)
    monitor.wait_out({"m1.fr.example": "refused"})
    world.by_host["m1.fr.example"].answer(None)
    monitor.wait_out({})
    told = [line for line in monitor.log.since(0) if "history.db" in line]
    check(len(told) == 1 and "error" in told[0], "lines about the history:\n" + "\n".join(told))


def test_disk_full(case, world):
    """No file can grow any more: the last feed stays whole, log, metrics and health say so; it goes on when there is room."""
    monitor = start(case, world, metrics={"listen": '[ "127.0.0.1@0" ]'})
    wait_announced(monitor)
    mark, before = monitor.log.mark(), monitor.feed()
    prlimit = need_program("prlimit")
    check_equal(run([prlimit, f"--pid={monitor.pid}", "--fsize=64:"])[0], 0, "prlimit")
    mirror = world.by_host["m2.fr.example"]
    mirror.answer(403)
    monitor.log.wait("feed not written, the last one stays: .*File too large", mark)
    monitor.log.wait(f"mirror {mirror.host}: none -> refused", mark)
    last = monitor.feed()
    check_equal(last["excluded"], before["excluded"], "who is out by the last feed")
    check("\nmirrormon_feed_failed 1\n" in monitor.get()[1], "mirrormon_feed_failed is not 1")
    check_equal(monitor.get("/healthz")[0], 503, "health")
    check(not [name for name in os.listdir(monitor.place.folder) if name.startswith("feed.json") and name != "feed.json"], "half a feed is left")
    check_equal(run([prlimit, f"--pid={monitor.pid}", "--fsize=unlimited:"])[0], 0, "prlimit")
    monitor.log.wait("feed written again", mark)
    monitor.wait_out({mirror.host: "refused"})
    check_equal(monitor.get("/healthz")[0], 200, "health with room again")
    told = [line for line in monitor.log.since(mark) if "feed" in line]
    check_equal(len(told), 3, "lines about the feed:\n" + "\n".join(told))
    mirror.answer(None)
    monitor.wait_out({})


def test_votes(case, world):
    """Of three monitors the one that is cut off moves nothing, by its self-test or without; two of three do. One alone decides nothing."""
    world.heal(case)
    sites = [case.site() for _ in range(3)]
    monitors = []
    for i, site in enumerate(sites):
        others = ", ".join(f'"{other.file("vote.json")}"' for other in sites if other is not site)
        # The third one finds nobody, but its references.
        checks = FAST | ({"port": "81"} if i == 2 else {})
        world.write_monitor(site, monitor={"name": f'"mon{i + 1}.example"'}, checks=checks,
                            votes={"file": '"vote.json"', "others": f"[ {others} ]", "valid": '"3s"'})
        monitors.append(world.start_monitor(site))

    def vote(i):
        try:
            with open(sites[i].file("vote.json")) as file:
                return json.load(file)
        except FileNotFoundError:
            return {"opinions": []}
    # No reference shows that its IPv6 works.
    wait_until(lambda: len(vote(2)["opinions"]) == 6, "the third says that all are out")
    check(vote(2)["self-ok"], "it thinks itself well")
    serials = [monitor.wait_feed()["serial"] for monitor in monitors]
    for monitor, serial in zip(monitors, serials):
        check_equal(monitor.wait_feed(serial + 1)["excluded"], [], "who is out, where one of three says so")
    mirror = world.by_host["m3.de.example"]
    mirror.answer(403)
    for monitor in monitors:
        # The third one gives another reason for it than the two.
        monitor.wait_out({mirror.host: "refused"})
    line = next(line for line in monitors[0].log.since(0) if f"address mirror={mirror.host} " in line)
    check(re.search(r"votes=[23]/3 ", line), line)

    # The vote of the third is the first that is too old: it does not say that the IPv6 address is out.
    monitors[2].stop()
    wait_until(lambda: vote(1)["generated"] > vote(2)["generated"], "a newer vote of the second")
    monitors[1].stop()
    mark = monitors[0].log.mark()
    wait_until(lambda: all(time.time() - os.stat(site.file("vote.json")).st_mtime > 3.5 for site in sites[1:]), "their votes are too old")
    mirror.answer(None)
    other = world.by_host["m2.de.example"]
    other.answer(403)
    wait_until(lambda: {e["mirror"] for e in vote(0)["opinions"]} == {other.host}, "its own opinion has changed")
    serial = monitors[0].feed()["serial"]
    check_equal({e["mirror"] for e in monitors[0].wait_feed(serial + 1)["excluded"]}, {mirror.host}, "who is out: as when there were three")
    check(not any("address mirror=" in line for line in monitors[0].log.since(mark)), "something was decided")
    other.answer(None)


def test_letters(case, world):
    """A letter that sendmail does not take waits over a stop and is sent by the next process, once."""
    world.heal(case)
    site = case.site()
    site.write("mail/sendmail", "#!/bin/sh\nexit 75\n")
    os.chmod(site.file("mail/sendmail"), 0o755)
    monitor = world.monitor(site, checks=FAST, mail={"team": '"team@pool.example"', "sendmail": f'"{site.file("mail/sendmail")}"'})
    monitor.wait_feed()
    mirror = world.by_host["m1.de.example"]
    mirror.answer(403)
    monitor.wait_out({mirror.host: "refused"})
    monitor.log.wait("mail to .*team@pool.example is not sent: .* ended with status 75")
    monitor.stop()
    check(os.listdir(site.file("mon/letters")), "no letter waits")
    site.write("mail/sendmail", SENDMAIL)
    os.chmod(site.file("mail/sendmail"), 0o755)
    again = world.start_monitor(site)
    again.log.wait("letters waited for this start")

    def letters():
        return [open(site.file(f"mail/{name}")).read() for name in os.listdir(site.file("mail")) if name.startswith("letter-")]
    wait_until(lambda: any("out of DNS, refused" in text for text in letters()), "the letter")
    wait_until(lambda: not os.listdir(site.file("mon/letters")), "no letter waits any more")
    again.wait_feed(again.feed()["serial"] + 1)
    subjects = [line for text in letters() for line in text.split("\n") if line.startswith("Subject: ")]
    check_equal(len(subjects), len(set(subjects)), f"letters that came twice: {subjects}")
    mirror.answer(None)


def test_once(case, world):
    """--once: a round, a feed, an end; a line of progress on a terminal, none for cron; status 1 when something is not written."""
    world.heal(case)
    site = case.site()
    path = world.write_monitor(site, site={"directory": '"html"'})
    world.by_host["m1.de.example"].answer(403)
    master, slave = pty.openpty()
    process = subprocess.Popen(["ip", "netns", "exec", world.name, MIRRORMON, "-c", path, "--once"], stdin=subprocess.DEVNULL,
                               stdout=slave, stderr=slave)
    os.close(slave)
    text = b""
    try:
        while True:
            more = os.read(master, 65536)
            text += more
    except OSError:  # the other side is closed
        os.close(master)
    check_equal(process.wait(20), 0, f"exit status: {text}")
    check(re.search(rb"\r12 of 12 addresses checked, 2 failed ", text), f"on the terminal: {text}")
    with open(site.file("feed.json")) as file:
        check_equal([(e["mirror"], e["reason"]) for e in json.load(file)["excluded"]], [("m1.de.example", "refused")], "its feed")
    check(os.path.exists(site.file("html/mirrors.html")), "its site")

    world.by_host["m1.de.example"].answer(None)
    status, out, err = mirrormon(world, "-c", path, "--once")
    check_equal((status, out), (0, ""), f"exit status and output without a terminal: {err}")
    check("addresses checked" not in err, f"progress without a terminal: {err}")
    os.unlink(site.file("feed.json"))
    os.mkdir(site.file("feed.json"))
    status, out, err = mirrormon(world, "-c", path, "--once")
    check(status == 1 and "feed not written" in err, f"status {status}: {err}")


def test_commands(case, world):
    """check: what is found, by address. add: which step has failed and how to mend it, then the entry, which the monitor takes."""
    if not os.environ.get("DNSD_SIGNED_CVD_DIR"):
        raise Skip("needs a genuine database: set DNSD_SIGNED_CVD_DIR")
    world.heal(case)
    mirror, new = world.by_host["m1.de.example"], world.more[0]
    hosts = f"/etc/netns/{world.name}"
    os.makedirs(hosts)
    case.stack.callback(run, ["rm", "-r", hosts])
    with open(f"{hosts}/hosts", "w") as file:
        file.write(f"{new.addresses[0]} {new.host}\n")
    new.sync()
    site = case.site()
    path = world.write_monitor(site, monitor={"geo": f'"{geo_file()}"'}, checks={"databases": '[ "bytecode" ]', "patched": '""'})
    mirror.down(mirror.addresses[1])
    status, out, err = mirrormon(world, "-c", path, "check", mirror.host)
    check(status == 1 and re.search(rf"^{re.escape(mirror.addresses[1])} +unreachable\n.*No route to host", out, re.M), f"check: {status} {out} {err}")
    check(re.search(rf"^{mirror.addresses[0]} ", out, re.M) and "bytecode" in out, f"check: {out}")
    status, out, err = mirrormon(world, "-c", path, "check", "nobody.example")
    check(status == 1 and "no mirror of pool clamav has this name" in out, f"check: {status} {out} {err}")

    template = f"host: {new.host}\nip address: {new.addresses[0]}\ncountry: DE\nadmin: Jo <jo@{new.host}> || <alerts@{new.host}>\n"
    with open(site.file("mirrors.conf")) as file:
        before = file.read()
    for fault, step, cure in ((301, "port 80", "nginx: take `return 301"), (None, r"by the name db\.test\.clamav\.net", "echo test > local_test")):
        new.answer(fault)
        status, out, err = mirrormon(world, "-c", path, "add", "--append", "-", stdin=template)
        check(status == 1 and re.search(f"^FAILED .*{step}", out, re.M) and cure in out, f"add: {status} {out} {err}")
    with open(site.file("mirrors.conf")) as file:
        check_equal(file.read(), before, "mirrors.conf after an add that failed")
    new.put("local_test", "test\n")
    status, out, err = mirrormon(world, "-c", path, "add", "--append", "-", stdin=template)
    check(status == 0 and "FAILED" not in out, f"add: {status} {out} {err}")
    status, out, err = mirrormon(world, "-c", path, "-t")
    check(status == 0, f"-t after it: {status} {out} {err}")
    with open(site.file("mirrors.conf")) as file:
        check(f'"{new.host}"' in file.read(), "the new one is not in mirrors.conf")
    status, out, err = mirrormon(world, "-c", path, "check", new.host.upper())
    check(re.search(rf"^{new.addresses[0]} +good$", out, re.M), f"check of the new one: {status} {out} {err}")


def test_lot(case, world):
    """Good headers, and something else behind them: only a whole database shows it, drawn by lot. By its MD5; by sigtool where that was made to fit."""
    if not os.environ.get("DNSD_SIGNED_CVD_DIR"):
        raise Skip("needs a genuine database: set DNSD_SIGNED_CVD_DIR")
    mirrors = world.mirrors[:3]
    monitor = start(case, world, mirrors=mirrors, checks={"databases": '[ "bytecode" ]', "patched": '""', "deep-interval": '"200ms"',
                                                          "sigtool": f'"{need_program("sigtool")}"'})
    with open(mirrors[0].path("bytecode.cvd"), "rb") as file:
        genuine = file.read()
    built = int(genuine[:512].split(b":")[8])
    changed = genuine[:-1] + bytes([genuine[-1] ^ 1])
    forged = changed.replace(genuine[:512].split(b":")[5], hashlib.md5(changed[512:]).hexdigest().encode(), 1)
    mark = monitor.log.mark()
    mirrors[0].put("bytecode.cvd", changed, built)
    mirrors[1].put("bytecode.cvd", forged, built)
    monitor.wait_out({mirror.host: "wrong-content" for mirror in mirrors[:2]})
    details = {entry["mirror"]: entry["detail"] for entry in monitor.feed()["excluded"]}
    for mirror, found in zip(mirrors, (r"GET /bytecode\.cvd \(Host \S+\): version \d+ has MD5 \w{32}, its header says \w{32}",
                                       r"GET /bytecode\.cvd \(Host \S+\): sigtool says it is damaged or not signed \(version \d+ by its header\)")):
        check(re.fullmatch(found, details[mirror.host]), f"{mirror.host}: {details[mirror.host]}")
    for mirror in mirrors[:2]:
        mirror.sync("bytecode.cvd")
    monitor.wait_out({})
    check(not any(f"mirror={mirrors[2].host} " in line for line in monitor.log.since(mark)), "the third has had no change")
    check(not any("sigtool (" in line for line in monitor.log.since(0)), "sigtool worked throughout")


# No NUL: in headers curl does not let it through.
EVIL = "<script>alert(1)</script>\x1b[2J\x07\xff\"><img src=x onerror=alert(2)>"
SENDMAIL = "#!/bin/sh\ncat >\"$(dirname \"$0\")/.$$\" && mv \"$(dirname \"$0\")/.$$\" \"$(dirname \"$0\")/letter-$$\"\n"


def evil_answers():
    """[(reason, what such a mirror answers)]"""
    def whole(text, more=True):
        def answer(_, connection):
            connection.sendall(text.encode("latin-1"))
            return more
        return answer

    def body(text):
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}"

    def silent(_, __):
        time.sleep(30)
        return False

    def endless(_, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b"1" * 65536)
    header = f"ClamAV-VDB:{EVIL}:100:{EVIL}:90:{'0' * 32}:{'A' * 171}:{EVIL}:1".ljust(512)[:512]
    return [
        ("http-error", whole(f"HTTP/1.1 500 {EVIL}\r\nContent-Length: 0\r\n\r\n")),
        ("http-error", whole("HTTP/1.1 503 Oops\r2026-11-21T00:00:00Z info: mirror m1.de.example: none -> admin\r\nContent-Length: 0\r\n\r\n")),
        ("refused", whole('HTTP/1.1 403 x" votes=3/3 to="none\\\r\nContent-Length: 0\r\n\r\n')),
        ("wrong-content", whole(body(f"{EVIL}\n2026-11-21T00:00:00Z info: mirror m1.de.example: none -> admin\nBcc: all@example\n"))),
        ("http-error", whole(f"HTTP/1.1 302 Found\r\nLocation: http://x/{EVIL}\r\nContent-Length: 0\r\n\r\n")),
        ("http-error", whole("\x16\x03\x01\x02" + EVIL + "\r\n\r\n", False)),
        ("http-error", whole(f"HTTP/1.1 200 OK\r\nContent-Encoding: {EVIL}\r\nContent-Length: 3\r\n\r\nabc")),
        ("unreachable", silent),
        ("http-error", endless),
        ("wrong-content", lambda request, connection: whole(body(header) if ".cvd" in request else body(f"{int(time.time())}\n"))(request, connection)),
    ]


def test_hostile(case, world):
    """Each ends in a reason; nothing they say gets out of its place in log, feed, vote, site, mail and metrics."""
    world.heal(case)
    site = case.site()
    answers = evil_answers()
    for mirror, (_, answer) in zip(world.raw, answers):
        world.serve(mirror, answer)
    site.write("mail/sendmail", SENDMAIL)
    os.chmod(site.file("mail/sendmail"), 0o755)
    monitor = world.monitor(site, mirrors=world.mirrors + world.raw, checks=FAST | {"timeout": '"1s"'},
                            mail={"team": '"team@pool.example"', "sendmail": f'"{site.file("mail/sendmail")}"', "admin-after": "2",
                                  "digest-over-percent": "90"},
                            site={"directory": '"html"', "interval": '"500ms"'}, votes={"file": '"vote.json"'},
                            announce={"enabled": "false"},  # nor looks at headers alone, which find something else
                            metrics={"listen": '[ "127.0.0.1@0" ]'})
    want = {mirror.host: reason for mirror, (reason, _) in zip(world.raw, answers)}
    monitor.wait_out(want)

    def mails():
        return [open(site.file(f"mail/{name}")).read() for name in os.listdir(site.file("mail")) if name.startswith("letter-")]
    wait_until(lambda: {host for host in want for text in mails() if f"To: admin@{host}" in text} == set(want), "a letter to each admin")
    page = site.file("html/mirror/h1.fr.example.html")
    wait_until(lambda: os.path.exists(page) and "&lt;script&gt;" in open(page).read(), "what it said, on its page")
    for line in monitor.log.since(0):
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (info|warning|error): [ -~]*", line), f"a line of the log: {line!r}")
        check(not re.search(r"Z \w+: mirror m1\.de\.example: none -> admin", line), f"a line that the mirror wrote: {line!r}")
        if " address mirror=" in line:
            check(re.search(r' detail="(?:[^"\\]|\\.)*"$', line), f"what a mirror wrote is not in its field: {line}")
    for name in "feed.json", "vote.json":
        text = open(site.file(name)).read()
        for entry in json.loads(text).get("excluded", json.loads(text).get("opinions")):
            check(re.fullmatch("[ -~]{0,191}", entry["detail"]), f"{name}: {entry}")
    for folder, _, names in os.walk(site.file("html")):
        for name in names:
            text = open(os.path.join(folder, name)).read()
            check(not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text), f"control characters in {name}")
            if name.endswith((".html", ".svg", ".atom")):
                check("<script" not in text and "<img src=x" not in text, f"{name} has what a mirror wrote: {text}")
    for text in mails():
        head, _, rest = text.partition("\n\n")
        check(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), f"control characters in a letter:\n{text!r}")
        check(not re.search("^(Bcc|Cc):", head, re.M | re.I), f"headers of a letter:\n{head}")
        check(all(re.match(r"[A-Z][A-Za-z-]*: |[ \t]\S", line) for line in head.split("\n")), f"headers of a letter:\n{head}")
    check_equal(monitor.get()[0], 200, "metrics")
