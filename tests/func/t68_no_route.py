"""A monitor that has lost its IPv6 says nothing about that of the mirrors."""
import os
import re

from harness import check, check_equal, run, wait_until
from mirror_world import NETWORK6, MirrorWorld, ip, mirrormon


def test_no_ipv6(case, _):
    """Without a route: nobody leaves, the log says it once, IPv4 is judged on. With one again: it goes on."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}", f"2001:db8::{i}"]) for i in range(1, 5)])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    monitor = world.monitor(case.site(), metrics={"listen": '[ "127.0.0.1@0" ]'})
    wait_until(lambda: (feed := monitor.feed()) and "versions" in feed, "the first feed with a version")

    ip("-n", world.name, "route", "del", "local", NETWORK6, "dev", "lo")
    monitor.log.wait("IPv6 addresses can't be checked from here, they stay as they are: Network is unreachable")
    world.mirrors[0].answer(404)
    monitor.wait_out({"198.51.100.1": "http-error"})
    check_equal(len([line for line in monitor.log.lines if "can't be checked" in line]), 1, "times it was told")
    check_equal([line for line in monitor.log.lines if "to=unreachable" in line], [], "addresses that have become unreachable")

    world.mirrors[0].answer(None)
    ip("-n", world.name, "route", "add", "local", NETWORK6, "dev", "lo")
    monitor.log.wait("IPv6 addresses are checked again")
    monitor.wait_out({})
    check(monitor.feed()["versions"]["daily"] == 100, "the version is announced as before")


def test_never_had(case, _):
    """A monitor that has no IPv6 from the start decides about IPv4 all the same."""
    world = MirrorWorld(case, [(f"m{i}.de.example", "DE", [f"198.51.100.{i}", f"2001:db8::{i}"]) for i in range(1, 4)])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    ip("-n", world.name, "route", "del", "local", NETWORK6, "dev", "lo")
    monitor = world.monitor(case.site())
    wait_until(lambda: (feed := monitor.feed()) and feed.get("versions", {}).get("daily") == 100, "the version is announced")
    monitor.wait_out({})


def test_commands(case, _):
    """`check` and `add` say that it is the route that is lacking here, not memory, and not the mirror."""
    world = MirrorWorld(case, [("m1.de.example", "DE", ["198.51.100.1", "2001:db8::1"])], more=[("new.de.example", "DE", ["192.0.2.201"])])
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    ip("-n", world.name, "route", "del", "local", NETWORK6, "dev", "lo")
    hosts = f"/etc/netns/{world.name}"
    os.makedirs(hosts)
    case.stack.callback(run, ["rm", "-r", hosts])
    with open(f"{hosts}/hosts", "w") as file:
        file.write("2001:db8::99 new.de.example\n")
    path = world.write_monitor(case.site())
    status, out, err = mirrormon(world, "-c", path, "check", "m1.de.example")
    check(status == 1 and "2001:db8::1  not checked from here: Network is unreachable\n" in out, f"check: {status} {out} {err}")
    template = "host: new.de.example\nip address: 2001:db8::99\ncountry: DE\nadmin: Ann <ann@new.example>\n"
    status, out, err = mirrormon(world, "-c", path, "add", "-", stdin=template)
    check(status == 1 and re.search("^FAILED +2001:db8::99: cannot be asked from here: Network is unreachable$", out, re.M), f"add: {status} {out} {err}")
    check("Run this on a host that has IPv6" in out and err == "", f"add: {out} {err}")
