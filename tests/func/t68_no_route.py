"""A monitor that has lost its IPv6 says nothing about that of the mirrors; one mirror that is gone has to leave, whoever says it."""
import os
import re

from harness import check, check_equal, run, wait_until
from mirror_world import NETWORK6, MirrorWorld, ip, mirrormon

LOST = "IPv6 addresses can't be checked from here, they stay as they are: "


def world_of(case, mirrors_n, **keywords):
    mirrors = [(f"m{i}.de.example", "DE", [f"198.51.100.{i}", f"2001:db8::{i}"]) for i in range(1, mirrors_n + 1)]
    world = MirrorWorld(case, mirrors, **keywords)
    world.release({"daily": 100}, {"daily-100.cdiff": b"ClamAV-Diff:100"})
    world.push()
    return world


def lose_and_regain(world, monitor, why, lose, regain):
    """IPv6 goes and comes: nobody leaves, the log says it once, IPv4 is judged on. Then it goes on."""
    mark = monitor.log.mark()
    lose()
    monitor.log.wait(LOST + ".*" + why, mark)
    world.mirrors[0].answer(404)
    monitor.wait_out({"198.51.100.1": "http-error"})
    check("\nmirrormon_family_checked{family=\"ipv6\"} 0\n" in monitor.get()[1], "the metric does not say so")
    check_equal(len([line for line in monitor.log.since(mark) if "can't be checked" in line]), 1, "times it was told")
    check_equal([line for line in monitor.log.since(mark) if "to=unreachable" in line], [], "addresses that have become unreachable")
    world.mirrors[0].answer(None)
    regain()
    monitor.log.wait("IPv6 addresses are checked again", mark)
    monitor.wait_out({})
    check(monitor.feed()["versions"]["daily"] == 100, "the version is announced as before")


def test_no_ipv6(case, _):
    """Without a route, and with one that leads nowhere. Each by itself: a mirror that is gone leaves."""
    world = world_of(case, 4)
    monitor = world.monitor(case.site(), metrics={"listen": '[ "127.0.0.1@0" ]'})
    wait_until(lambda: (feed := monitor.feed()) and "versions" in feed, "the first feed with a version")

    lose_and_regain(world, monitor, "Network is unreachable", lambda: ip("-n", world.name, "route", "del", "local", NETWORK6, "dev", "lo"),
                    lambda: ip("-n", world.name, "route", "add", "local", NETWORK6, "dev", "lo"))
    everybody = [mirror.addresses[1] for mirror in world.mirrors]
    lose_and_regain(world, monitor, "No route to host", lambda: world.cut(*everybody), lambda: world.mend(*everybody))

    world.mirrors[1].down(world.mirrors[1].addresses[1])
    monitor.wait_out({"2001:db8::2": "unreachable"})
    world.mirrors[1].up()
    monitor.wait_out({})


def test_network_is_gone(case, _):
    """"Network is unreachable" is what a router says of a network that nobody routes any more: it is the mirror that is gone."""
    world = world_of(case, 4)
    monitor = world.monitor(case.site())
    wait_until(lambda: (feed := monitor.feed()) and "versions" in feed, "the first feed with a version")
    gone = world.mirrors[2].addresses
    for address in gone:
        ip("-n", world.name, "route", "add", "throw", address, "table", "local")
    monitor.log.wait(rf"mirror {world.mirrors[2].host}: none -> unreachable: .*Network is unreachable")
    monitor.wait_out({world.mirrors[2].host: "unreachable"})
    check_equal([line for line in monitor.log.since(0) if "can't be checked" in line], [], "what is said of families")
    for address in gone:
        ip("-n", world.name, "route", "del", "throw", address, "table", "local")
    monitor.wait_out({})


def test_reference_with_ipv6(case, _):
    """All mirrors have lost their IPv6, and a reference answers over it: it is they who are to blame."""
    world = world_of(case, 3, servers=lambda world: f"server {{ listen [2001:db8:ff::1]:80; root {world.references[0].folder}; }}")
    site = case.site()
    path = world.write_monitor(site)
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace(f'address = "{world.references[0].addresses[0]}"', 'address = "2001:db8:ff::1"'))
    monitor = world.start_monitor(site)
    wait_until(lambda: (feed := monitor.feed()) and "versions" in feed, "the first feed with a version")
    everybody = [mirror.addresses[1] for mirror in world.mirrors]
    world.cut(*everybody)
    monitor.wait_out({address: "unreachable" for address in everybody})
    world.mend(*everybody)
    monitor.wait_out({})


def test_never_had(case, _):
    """A monitor that has no IPv6 from the start decides about IPv4 all the same."""
    world = world_of(case, 3)
    ip("-n", world.name, "route", "del", "local", NETWORK6, "dev", "lo")
    monitor = world.monitor(case.site())
    wait_until(lambda: (feed := monitor.feed()) and feed.get("versions", {}).get("daily") == 100, "the version is announced")
    monitor.wait_out({})


def test_commands(case, _):
    """`check` and `add` say that it is a route that is lacking, not memory; `add`, that it is lacking here."""
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
    check(status == 1 and re.search(r"2001:db8::1  unreachable\n  .*: cannot connect: Network is unreachable\n", out), f"check: {status} {out} {err}")
    template = "host: new.de.example\nip address: 2001:db8::99\ncountry: DE\nadmin: Ann <ann@new.example>\n"
    status, out, err = mirrormon(world, "-c", path, "add", "-", stdin=template)
    check(status == 1 and re.search("^FAILED +2001:db8::99: cannot be asked from here: Network is unreachable$", out, re.M), f"add: {status} {out} {err}")
    check("Run this on a host that has IPv6" in out and err == "", f"add: {out} {err}")
