"""The unit files under a systemd that has booted: process 1 of namespaces, over a layer of this system that is gone afterwards."""
import json
import os
import shutil
import subprocess

from harness import DEADLINE_S, DNSD, DNSDCTL, TOP, Skip, check, check_equal, cvd_file, geo_file, is_sanitized, need_program
from mirror_world import MIRRORMON

MIRRORS = [(f"m{i}.de.example", "DE", [f"192.0.2.{i}"]) for i in range(1, 4)]
CAN_NOT = 77

# All it mounts is its own: it is gone with the last process.
BOOT = f"""
set -e
top=$1
mount --make-rprivate /
mount -t tmpfs -o size=512m tmpfs "$top/layer" || exit {CAN_NOT}
mkdir "$top/layer/up" "$top/layer/work" "$top/layer/root"
cp -a "$top/tree/." "$top/layer/up/"
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/layer/up,workdir=$top/layer/work" "$top/layer/root" || exit {CAN_NOT}
cd "$top/layer/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup || exit {CAN_NOT}
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --bind /dev dev
mkdir -p out before
mount --bind "$top/out" out
pivot_root . before
umount -l before
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=console --unit=steps.target
"""

# Runs the steps inside: {"name": [status, output]}.
STEPS = f"""
import json, subprocess
env = {{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}
said = {{}}
for name, command in json.load(open("/out/steps.json")):
    try:
        done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout={2 * DEADLINE_S:g}, env=env)
        said[name] = [done.returncode, done.stdout]
    except subprocess.TimeoutExpired as late:
        said[name] = [-1, str(late.stdout)]
with open("/out/said.json", "w") as file:
    json.dump(said, file)
subprocess.run(["systemctl", "poweroff", "--force", "--force"])
"""

STEPS_SERVICE = """
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /opt/steps.py
TimeoutStartSec=infinity
"""
STEPS_TARGET = """
[Unit]
Requires=basic.target steps.service
After=basic.target steps.service
"""

ASK = "dig +short +tries=2 +time=2 @127.0.0.1 A db.de.clamav.test | sort | tr '\\n' ' '"
SHOW = "systemctl show dnsd -p ActiveState,MainPID,NRestarts,StatusText,Result"
MAIN = "$(systemctl show -p MainPID --value dnsd)"


def wait_restarts(n):
    return (f"for _ in $(seq 200); do [ $(systemctl show -p NRestarts --value dnsd) = {n} ] && systemctl is-active -q dnsd && break; "
            f"sleep 0.1; done; {SHOW}")


DO = [
    ("users", "systemd-sysusers && systemd-tmpfiles --create dnsd.conf && chgrp -R dnsd /etc/dnsd && id -nG mirrormon"),
    ("start", "systemctl start dnsd"), ("started", SHOW), ("asked", ASK),
    ("reload", "systemctl reload dnsd"), ("reloaded", SHOW),
    ("bad reload", "sed -i 's/^server: {/server: { nonsense = 1;/' /etc/dnsd/dnsd.conf; systemctl reload dnsd"), ("not reloaded", SHOW),
    ("asked then", ASK + "; sed -i 's/ nonsense = 1;//' /etc/dnsd/dnsd.conf"),
    ("restart", "dnsdctl restart"), ("restarted", f"for _ in $(seq 100); do [ -d /proc/{MAIN} ] && break; sleep 0.1; done; {SHOW}"),
    ("rights", f"grep -E '^(Uid|CapPrm|CapEff|NoNewPrivs)' /proc/{MAIN}/status"),
    ("asked restarted", ASK),
    ("hung", f"kill -STOP {MAIN}; " + wait_restarts(1)), ("asked after hung", ASK),
    ("killed", f"kill -9 {MAIN}; " + wait_restarts(2)), ("asked after killed", ASK),
    ("stop", "systemctl stop dnsd"), ("stopped", SHOW),
    # systemd opens the port: the first question starts dnsd, which has no capability at all.
    ("sockets", "mkdir -p /etc/systemd/system/dnsd.service.d; cd /etc/systemd/system/dnsd.service.d; "
     "printf '[Service]\\nAmbientCapabilities=\\nCapabilityBoundingSet=\\n' > sockets.conf; systemctl daemon-reload; systemctl start dnsd.socket"),
    ("asked by socket", ASK), ("by socket", SHOW),
    ("restart by socket", "dnsdctl restart"), ("asked restarted by socket", ASK),
    ("stop by socket", "systemctl stop dnsd.socket dnsd"), ("stopped by socket", SHOW),
    ("monitor", "systemctl start mirrormon && systemctl reload mirrormon && systemctl is-active mirrormon"),
    ("monitor's", "for _ in $(seq 100); do [ -e /var/lib/mirrormon/history.db ] && break; sleep 0.1; done; stat -c '%U %G' /var/lib/mirrormon/history.db"),
    ("monitor stopped", "systemctl stop mirrormon; systemctl show mirrormon -p ActiveState,Result"),
    ("journal", "journalctl -u dnsd -u mirrormon -o cat"),
]


def install(case):
    """What an operator installs, below tree/."""
    tree = os.path.join(case.folder, "tree")
    for program, folder in ((DNSD, "sbin"), (DNSDCTL, "bin"), (MIRRORMON, "sbin")):
        os.makedirs(f"{tree}/usr/local/{folder}", exist_ok=True)
        shutil.copy(program, f"{tree}/usr/local/{folder}")
    site = case.site()
    for name in ("main", "daily", "bytecode"):
        site.write(f"cvd/{name}.cvd", cvd_file(60))
    site.write("mirrormon.conf", 'monitor: { name = "mon"; pool = "clamav"; mirrors = "mirrors.conf"; regions = "regions.conf"; '
               'state-directory = "/var/lib/mirrormon"; feed = "/var/lib/mirrormon/exclusions.json"; };\n'
               'references = ( { url = "http://127.0.0.1:1"; } );\n')
    site.pool_site(MIRRORS, listen=["0.0.0.0@53", "::@53"], geo='database = "country.mmdb";',
                   server='control = "/run/dnsd/control.sock"; state-directory = "/var/lib/dnsd";')
    shutil.copytree(site.file(""), f"{tree}/etc/dnsd")
    shutil.copy(geo_file(), f"{tree}/etc/dnsd/country.mmdb")
    units = f"{tree}/etc/systemd/system"
    os.makedirs(f"{units}/dnsd.service.d")
    for name in ("dnsd.service", "dnsd.socket", "mirrormon.service"):
        shutil.copy(os.path.join(TOP, "contrib", name), units)
    for kind in ("sysusers.d", "tmpfiles.d"):
        os.makedirs(f"{tree}/etc/{kind}")
        shutil.copy(os.path.join(TOP, "contrib", kind, "dnsd.conf"), f"{tree}/etc/{kind}/dnsd.conf")
    os.makedirs(f"{tree}/opt")
    for path, text in ((f"{units}/steps.service", STEPS_SERVICE), (f"{units}/steps.target", STEPS_TARGET), (f"{tree}/opt/steps.py", STEPS),
                       (f"{units}/dnsd.service.d/watchdog.conf", "[Service]\nWatchdogSec=4\n")):
        with open(path, "w") as file:
            file.write(text)
    return tree


def shown(text):
    return dict(line.split("=", 1) for line in text.splitlines())


def test_units(case, _):
    """Start, reload, a reload that fails, restart without a gap, a process that hangs, one that is killed, sockets of systemd; the monitor."""
    if os.getuid() != 0:
        raise Skip("only root can boot another system")
    if is_sanitized():
        raise Skip("a sanitizer maps memory in ways that the unit forbids")
    for program in ("unshare", "dig", "systemctl"):
        need_program(program)
    if not os.path.exists("/lib/systemd/systemd"):
        raise Skip("systemd is not installed (scripts/setup.sh test)")
    install(case)
    for name in ("layer", "out"):
        os.mkdir(os.path.join(case.folder, name))
    out = os.path.join(case.folder, "out")
    with open(os.path.join(out, "steps.json"), "w") as file:
        json.dump(DO, file)
    booted = subprocess.run(["unshare", "--fork", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--kill-child", "bash", "-c", BOOT,
                             "boot", case.folder], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            errors="replace", timeout=240, check=False)
    if booted.returncode == CAN_NOT:
        raise Skip(f"no layer or control groups to boot in: {booted.stdout.strip()[-200:]}")
    path = os.path.join(out, "said.json")
    check(os.path.exists(path), f"it did not come to the steps:\n{booted.stdout[-3000:]}")
    with open(path) as file:
        said = json.load(file)
    everybody = "192.0.2.1 192.0.2.2 192.0.2.3 "
    failed = {name: answer for name, answer in said.items() if answer[0] != (1 if name == "bad reload" else 0)}
    check(not failed, f"steps that failed: {failed}\n{said['journal'][1][-3000:]}")
    for name, (_, text) in said.items():
        check(not name.startswith("asked") or text == everybody, f"{name}: {text!r}\n{said['journal'][1][-3000:]}")
    check_equal(set(said["users"][1].split()), {"mirrormon", "dnsd"}, "groups of mirrormon")
    started, reloaded, refused, restarted = (shown(said[name][1]) for name in ("started", "reloaded", "not reloaded", "restarted"))
    check_equal(started["ActiveState"], "active", "state")
    check("serving: generation=1 " in started["StatusText"], started["StatusText"])
    check("serving: generation=2 " in reloaded["StatusText"], reloaded["StatusText"])
    check("the last reload failed" in refused["StatusText"], refused["StatusText"])
    check_equal((reloaded["MainPID"], refused["MainPID"]), (started["MainPID"],) * 2, "main process")
    check(restarted["MainPID"] != started["MainPID"], "the same process after a restart")
    check_equal((restarted["ActiveState"], restarted["NRestarts"]), ("active", "0"), "restart without a gap")
    rights = {line.split(":")[0]: line.split() for line in said["rights"][1].splitlines()}
    check_equal((rights["CapPrm"][1], rights["CapEff"][1], rights["NoNewPrivs"][1]), ("0" * 16, "0" * 16, "1"), "rights")
    check(rights["Uid"][1] != "0", "it runs as root")
    check_equal([shown(said[name][1])["NRestarts"] for name in ("hung", "killed")], ["1", "2"], "restarts by systemd")
    check_equal(shown(said["by socket"][1])["ActiveState"], "active", "started by a question")
    for name in ("stopped", "stopped by socket"):
        check_equal((shown(said[name][1])["ActiveState"], shown(said[name][1])["Result"]), ("inactive", "success"), name)
    check_equal(said["monitor's"][1].split(), ["mirrormon", "dnsd"], "whose the monitor's files are")
    check_equal(shown(said["monitor stopped"][1]), {"ActiveState": "inactive", "Result": "success"}, "the monitor's end")
