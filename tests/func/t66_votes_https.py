"""Votes and references over HTTPS: with real TLS, certificates that are good and those that are not.

mon1 runs; what mon2 and mon3 say is written here. Certificates are files that nginx reads at each handshake, so that a rename changes them.
"""
import json
import os
import shutil
import signal
import stat
import time

from harness import check, check_equal, need_program, run, wait_until
from mirror_world import MirrorWorld, mirrormon
from tls_support import make_authority, make_signed

VALID_S = 3
MON2, MON3 = "https://localhost/mon2.json", "https://198.51.100.10/mon3.json"
SERVED = ("mon2", "mon3", "references")
MIRROR, ADDRESS = "m1.de.example", "192.0.2.1"


def tls_servers(world):
    """A folder for votes at two addresses, and the references once more; each with a certificate of its own."""
    listens = {"mon2": ["127.0.0.1"], "mon3": ["198.51.100.10"]}
    roots = [(name, world.path("votes"), addresses) for name, addresses in listens.items()]
    roots += [("references", mirror.folder, mirror.addresses) for mirror in world.references]
    return f'map $hostname $tls {{ default "{world.path("tls")}"; }}' + "".join(
        f'server {{ {" ".join(f"listen {address}:443 ssl;" for address in addresses)} root {root};'
        f' access_log {world.path("logs/tls.log")} combined;'
        f' ssl_certificate $tls/{name}.crt; ssl_certificate_key $tls/{name}.key; }}' for name, root, addresses in roots)


class Colleagues:
    def __init__(self, case):
        self.site = case.site()
        self.world = MirrorWorld(case, [("m1.de.example", "DE", [ADDRESS]), ("m2.de.example", "DE", ["192.0.2.2"]),
                                        ("m3.fr.example", "FR", ["192.0.2.3"])], servers=tls_servers)
        for folder in ("votes", "tls"):
            os.mkdir(self.world.path(folder))
        for name in ("ours", "theirs"):
            make_authority(self.site, name)
        references = ",".join(f"DNS:{mirror.host}" for mirror in self.world.references)
        self.names = dict(zip(SERVED, ("DNS:localhost", "IP:198.51.100.10", references)))
        for name, alternatives in self.names.items():
            make_signed(self.site, "ours", name, alternatives)
            shutil.copy(self.site.file(name + ".key"), self.world.path("tls"))
            self.serve(name, name)
        self.world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:"})
        self.world.push()
        self.vote("mon2")
        self.vote("mon3")
        self.configure()
        self.monitor = self.world.start_monitor(self.site, prefix=self.trust("theirs"))

    def trust(self, authority):
        """What starts a program for which that authority is the only one of the system: ip netns exec has given it mounts of its own."""
        self.site.write("trusted/README", "")
        shutil.copy(self.site.file(authority + ".crt"), self.site.file("trusted/ca-certificates.crt"))
        shutil.copy(self.site.file(authority + ".crt"), self.site.file("trusted/one.pem"))
        status, text = run([need_program("openssl"), "rehash", self.site.file("trusted")])
        check_equal(status, 0, f"openssl rehash: {text}")
        return ["sh", "-c", 'mount --bind "$0" /etc/ssl/certs && exec "$@"', self.site.file("trusted")]

    def configure(self, **monitor):
        """mirrormon.conf with references over HTTPS; ca-file unless said otherwise."""
        path = self.world.write_monitor(self.site, monitor={"ca-file": '"ours.crt"', **monitor},
                                        votes={"file": '"vote.json"', "others": f'[ "{MON2}", "{MON3}" ]', "valid": f'"{VALID_S}s"'},
                                        checks={"interval": '"300ms"', "retry": '"200ms"'})
        with open(path) as file:
            text = file.read()
        check_equal(text.count('url = "http://'), 3, "references to change")
        with open(path, "w") as file:
            file.write(text.replace('url = "http://', 'url = "https://'))

    def serve(self, name, certificate):
        """Under that name, with this certificate, which has the same key."""
        path = self.world.path(f"tls/{name}.crt")
        shutil.copy(self.site.file(certificate + ".crt"), path + ".new")
        os.rename(path + ".new", path)

    def vote(self, name, ahead_s=0):
        """What that monitor says: m1 is out. Returns when it was said; ahead_s of now, within what clocks may differ."""
        at_s = int(time.time()) + ahead_s
        text = json.dumps({"format": 1, "kind": "vote", "pool": "clamav", "monitor": name, "self-ok": True,
                           "generated": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s)),
                           "opinions": [{"mirror": MIRROR, "address": ADDRESS, "reason": "unreachable", "since": "2026-01-01T00:00:00Z",
                                         "detail": f"{name} can't reach it"}]})
        path = self.world.path(f"votes/{name}.json")
        with open(path + ".new", "w") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return at_s

    def fetched_n(self, name):
        with open(self.world.path("logs/tls.log")) as file:
            return file.read().count(f"GET /{name}.json")

    def wait_fetched(self, name, n):
        """Until that vote has been fetched so many times more; the second of them was begun after this."""
        begin = self.fetched_n(name)
        wait_until(lambda: self.fetched_n(name) >= begin + n, f"{n} more fetches of {name}.json")

    def break_and_mend(self, certificate, why):
        """mon2 has that certificate, is told once for it in several rounds, and counts again with its good one."""
        mark = self.monitor.log.mark()
        self.vote("mon2", 200)
        self.serve("mon2", certificate)
        self.monitor.log.wait(f"no vote from {MON2}: TLS: .*{why}", mark)
        self.wait_fetched("mon3", 3)  # which always can be
        told = [line for line in self.monitor.log.since(mark) if MON2 in line]
        check_equal(len(told), 1, f"lines about it: {told}")
        check_equal(self.monitor.out(), {MIRROR: "unreachable"}, "by the last vote")
        self.serve("mon2", "mon2")
        self.monitor.log.wait(f"vote of {MON2} again", mark)


def setup(case):
    return Colleagues(case)


def test_counts(case, pool):
    """Two of three monitors say out, both by HTTPS; the references are well by HTTPS. What others read, everybody may."""
    pool.vote("mon3", 250)
    pool.vote("mon2", 200)
    pool.monitor.log.wait("self-test passed: 3 of 3 references are well")
    pool.monitor.wait_out({MIRROR: "unreachable"})
    check_equal([line for line in pool.monitor.log.since(0) if "no vote from" in line], [], "votes that could not be had")
    for name in ("feed.json", "vote.json"):
        wait_until(lambda name=name: os.path.exists(pool.site.file(name)), name)
        check_equal(oct(stat.S_IMODE(os.stat(pool.site.file(name)).st_mode)), "0o644", name)


def test_refused(case, pool):
    """A certificate that has expired, of another name, of an authority that only the system trusts: each told once, and the last vote
    counts."""
    make_signed(pool.site, "ours", "expired", pool.names["mon2"], days=-1, key="mon2")
    make_signed(pool.site, "ours", "other", "DNS:mon2.example,IP:198.51.100.10", key="mon2")
    make_signed(pool.site, "theirs", "unknown", pool.names["mon2"], key="mon2")
    pool.break_and_mend("expired", "certificate has expired")
    pool.break_and_mend("other", "its certificate is not for this host name")
    pool.break_and_mend("unknown", "unable to get local issuer certificate")


def test_too_old(case, pool):
    """The last vote counts until it is too old, and no longer: then one of two says out, which is not more than half."""
    pool.vote("mon3", 280)
    mark = pool.monitor.log.mark()
    said_s = pool.vote("mon2")
    pool.wait_fetched("mon2", 2)
    pool.serve("mon2", "expired")
    pool.monitor.log.wait(f"no vote from {MON2}: ", mark)
    check(time.time() >= said_s + VALID_S or pool.monitor.out() == {MIRROR: "unreachable"}, f"out already: {pool.monitor.out()}")
    pool.monitor.wait_out({})
    check(time.time() >= said_s + VALID_S, f"in again {time.time() - said_s:.1f} s after the vote, which is valid for {VALID_S} s")
    pool.vote("mon2", 250)
    pool.serve("mon2", "mon2")
    pool.monitor.wait_out({MIRROR: "unreachable"})


def test_references(case, pool):
    """References with an expired certificate are not well: nothing is decided until they are."""
    make_signed(pool.site, "ours", "late", pool.names["references"], days=-1, key="references")
    mark = pool.monitor.log.mark()
    pool.serve("references", "late")
    pool.monitor.log.wait(r"self-test failed, nothing is decided: 0 of 3 references are well; GET /timestamp"
                          r" \(https://reference\d.example\): TLS: .*certificate has expired", mark)
    pool.serve("references", "references")
    pool.monitor.log.wait("self-test passed: 3 of 3 references are well", mark)


def test_reload(case, pool):
    """A file that holds no authority is refused with all else; without ca-file those of the system count, not with it."""
    conf = pool.site.file("mirrormon.conf")
    for name, text, why in (("missing.crt", None, "No such file or directory"), ("empty.crt", "nothing\n", "has no certificate in PEM"),
                            ("ours.key", None, "has no certificate in PEM"),
                            ("cut.crt", "-----BEGIN CERTIFICATE-----\nMIIB\n", "certificate 1 of ca-file is damaged")):
        if text:
            pool.site.write(name, text)
        pool.configure(**{"ca-file": f'"{name}"'})
        status, _, complaint = mirrormon(pool.world, "-c", conf, "-t")
        check_equal(status, 1, f"status with {name}")
        check(f"{name}: " in complaint and why in complaint, f"{name}: {complaint}")
    mark = pool.monitor.log.mark()
    pool.monitor.send_signal(signal.SIGHUP)
    pool.monitor.log.wait("cut.crt: certificate 1 of ca-file is damaged", mark)
    pool.monitor.log.wait("reload failed, nothing has changed", mark)

    mark = pool.monitor.log.mark()
    pool.configure(**{"ca-file": None})
    pool.monitor.send_signal(signal.SIGHUP)
    pool.monitor.log.wait(f"no vote from {MON2}: TLS: .*unable to get local issuer certificate", mark)
    pool.monitor.log.wait("self-test failed, nothing is decided", mark)
    pool.serve("mon2", "unknown")
    pool.monitor.log.wait(f"vote of {MON2} again", mark)
    pool.serve("mon2", "mon2")

    mark = pool.monitor.log.mark()
    pool.configure()
    pool.monitor.send_signal(signal.SIGHUP)
    pool.monitor.log.wait("self-test passed: 3 of 3 references are well", mark)
    pool.monitor.wait_out({MIRROR: "unreachable"})
