#!/usr/bin/python3
"""bench_site.py OUT [--seed N] [--networks N] [--geodb PROGRAM] [--port SERVER=PORT]...

One site for dnsd and its peers, configured alike, for scripts/bench.sh.

    OUT/country.mmdb    the networks, random and the same for each seed; made by dnsd-geodb
    OUT/networks        the same as text: START,END,CC
    OUT/dnsd/ gdnsd/ knot/ nsd/
    OUT/ports           "gdnsd 40123" a line; dnsd is given port 0 and says in its log which it got

Equal for all: one thread for UDP, 127.0.0.1, no log of queries, no rate limit, client subnet on, the TTLs, addresses rotated, minimal answers.
Country codes are those that tests/bench/queries.c asks for; uk and gb are one country. NSD has no geography, so no db.local.
"""
import argparse
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVERS = ("dnsd", "gdnsd", "knot", "nsd")
ZONE = "clamav.net"
TTL_S = 300
SPLITS_MAX = 8     # the longest prefix is so much longer than the shortest: /18 to /26
SPLIT_SHARE = 0.455  # of the blocks of each length are split further
TCP_CLIENTS = 1000


def country_codes():
    """The names that the bench asks for."""
    with open(os.path.join(TOP, "tests", "bench", "queries.c")) as file:
        text = re.search(r"codes\[\] =((?:\s*\"[a-z ]*\")+);", file.read())[1]
    return re.findall(r"\b[a-z]{2}\b", text)


def pool_addresses(index):
    """Four of the range for benchmarks, RFC 2544."""
    return [f"198.{18 + index // 256}.{index % 256}.{i}" for i in range(1, 5)]


def pools():
    """{code of a name: its addresses}"""
    codes = country_codes()
    found = {code: pool_addresses(i) for i, code in enumerate(codes)}
    found["uk"] = found["gb"]
    return found


def prefix_lengths(rng, count):
    """Lengths of count networks that cover IPv4, in the order of addresses."""
    top = max(count * 10 // 38, 1).bit_length() - 1
    lengths = []
    stack = []
    draw = rng.random
    longest = top + SPLITS_MAX
    for _ in range(1 << top):
        stack.append(top)
        while stack:
            length = stack.pop()
            if length < longest and draw() < SPLIT_SHARE:
                stack += (length + 1, length + 1)
            else:
                lengths.append(length)
    # Chance is off by a little: split or keep more.
    while len(lengths) < count:
        more = min(count - len(lengths), max(len(lengths) // 8, 1))
        chosen = {i for i in rng.sample(range(len(lengths)), more) if lengths[i] < longest}
        lengths = [part for i, length in enumerate(lengths) for part in ((length + 1,) * 2 if i in chosen else (length,))]
    return lengths


def write_networks(out, seed, count, geodb):
    """networks, country.mmdb and gdnsd's form of them, unless those there are the same."""
    stamp = f"{seed} {count}\n"
    stamp_path = os.path.join(out, "networks.made")
    try:
        with open(stamp_path) as file:
            if file.read() == stamp:
                return
        os.unlink(stamp_path)
    except FileNotFoundError:
        pass
    rng = random.Random(seed)
    codes = [code.upper() for code in country_codes() if code != "uk"]
    lengths = prefix_lengths(rng, count)
    countries = rng.choices(codes, k=len(lengths))
    start = 0
    lines = []
    nets = []
    for length, country in zip(lengths, countries):
        size = 1 << (32 - length)
        lines.append(f"{start},{start + size - 1},{country}\n")
        nets.append(f"{start >> 24}.{start >> 16 & 255}.{start >> 8 & 255}.{start & 255}/{length} => {country}\n")
        start += size
    with open(os.path.join(out, "networks"), "w") as file:
        file.writelines(lines)
    with open(os.path.join(out, "networks.gdnsd"), "w") as file:
        file.writelines(nets)
    subprocess.run([geodb, "--type", "Country", "--description", "random networks, for the bench", os.path.join(out, "country.mmdb"),
                    os.path.join(out, "networks")], check=True, stdout=subprocess.DEVNULL)
    with open(stamp_path, "w") as file:
        file.write(stamp)


def free_port():
    """A port that is free for UDP and for TCP at this moment."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            try:
                tcp.bind(udp.getsockname())
            except OSError:
                continue
            return udp.getsockname()[1]


def write(*parts):
    *path, text = parts
    os.makedirs(os.path.join(*path[:-1]), exist_ok=True)
    with open(os.path.join(*path), "w") as file:
        file.write(text)


STATIC = f"""$TTL 1h
@	SOA	ns1.{ZONE}. hostmaster.{ZONE}. 1 10800 1800 1209600 300
@	NS	ns1.{ZONE}.
@	NS	ns2.{ZONE}.
ns1	A	198.19.255.1
ns2	A	198.19.255.2
www	A	198.19.255.3
lists	A	198.19.255.4
bugs	CNAME	www.{ZONE}.
"""


def version_line():
    return f'current.cvd {TTL_S} TXT "1.4.3:62:27500:{int(time.time())}:1:90:49192:335"\n'


def country_lines(names):
    return "".join(f"db.{code} {TTL_S} A {address}\n" for code, addresses in names.items() for address in addresses)


def write_dnsd(out, port, names):
    mirrors = []
    for code, addresses in names.items():
        if code != "uk":
            mirrors += [f'\t{{ host = "m{i}.{code}.example"; country = "{code.upper()}"; addresses = "{address}"; }}'
                        for i, address in enumerate(addresses)]
    write(out, "mirrors.conf", "mirrors = (\n" + ",\n".join(mirrors) + "\n);\n")
    write(out, f"{ZONE}.zone", STATIC)
    write(out, "dnsd.conf", f"""server: {{
	listen = [ "127.0.0.1@{port}" ];
	workers = 1;
	tcp-clients = {TCP_CLIENTS};
}};
geo: {{ database = "../country.mmdb"; max-age = 0; }};
zones = (
	{{
		name = "{ZONE}";
		file = "{ZONE}.zone";
		pools = ( {{ pool = "bench"; nearest = "db.local"; country = "db.%c"; }} );
		versions = (
			{{ name = "current.cvd"; software = "1.4.3"; main = 62; daily = 27500; bytecode = 335; warning = true; ttl = {TTL_S}; }}
		);
	}}
);
pools = ( {{ name = "bench"; mirrors = "mirrors.conf"; ttl = {TTL_S}; max-answers = 4; }} );
""")


def write_gdnsd(out, port, names):
    """Countries are datacenters of a geoip map, and multifo resources without a monitor."""
    codes = [code.upper() for code in names if code != "uk"]
    multifo = "".join(f"    c_{code} => [ {', '.join(names[code.lower()])} ]\n" for code in codes)
    dcmap = "".join(f"          {code} => %multifo!c_{code}\n" for code in codes)
    write(out, "config", f"""options => {{
  listen => 127.0.0.1
  dns_port => {port}
  udp_threads => 1
  tcp_threads => 1
  tcp_clients_per_thread => {TCP_CLIENTS}
  udp_rcvbuf => 1048576
  udp_sndbuf => 1048576
  edns_client_subnet => true
  run_dir => {out}/run
  state_dir => {out}/state
}}
plugins => {{
  multifo => {{
    service_types => up
{multifo}  }}
  geoip => {{
    maps => {{
      countries => {{
        datacenters => [ {', '.join(codes)} ]
        nets => {os.path.dirname(out)}/networks.gdnsd
      }}
    }}
    resources => {{
      nearest => {{
        map => countries
        service_types => up
        dcmap => {{
{dcmap}        }}
      }}
    }}
  }}
}}
""")
    lines = "".join(f"db.{code} {TTL_S} DYNA multifo!c_{(code if code != 'uk' else 'gb').upper()}\n" for code in names)
    write(out, "zones", ZONE, STATIC + version_line() + lines + f"db.local {TTL_S} DYNA geoip!nearest\n")
    for folder in ("run", "state"):
        os.makedirs(os.path.join(out, folder), exist_ok=True)


def write_knot(out, port, names, module):
    """Countries are ordinary records; db.local is the module's, which wants a default in the zone."""
    write(out, "knot.conf", f"""server:
    listen: 127.0.0.1@{port}
    rundir: {out}/run
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-max-clients: {TCP_CLIENTS}
    edns-client-subnet: on
    answer-rotation: on
log:
  - target: stderr
    any: warning
database:
    storage: {out}/db
module:
  - id: mod-geoip
    file: {module}
mod-geoip:
  - id: nearest
    config-file: {out}/geo.conf
    ttl: {TTL_S}
    mode: geodb
    geodb-file: {os.path.dirname(out)}/country.mmdb
    geodb-key: country/iso_code
zone:
  - domain: {ZONE}
    file: {out}/{ZONE}.zone
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    module: mod-geoip/nearest
""")
    write(out, "geo.conf", f"db.local.{ZONE}:\n" + "".join(
        f'  - geo: "{code.upper()}"\n    A: [ {", ".join(addresses)} ]\n' for code, addresses in names.items() if code != "uk"))
    default = "".join(f"db.local {TTL_S} A {address}\n" for address in pool_addresses(len(names)))
    write(out, f"{ZONE}.zone", STATIC + version_line() + country_lines(names) + default)
    for folder in ("run", "db"):
        os.makedirs(os.path.join(out, folder), exist_ok=True)


def write_nsd(out, port, names):
    write(out, "nsd.conf", f"""server:
    ip-address: 127.0.0.1@{port}
    server-count: 1
    username: ""
    chroot: ""
    zonesdir: {out}
    database: ""
    zonelistfile: {out}/zone.list
    xfrdfile: {out}/xfrd.state
    xfrdir: {out}
    pidfile: {out}/nsd.pid
    verbosity: 0
    tcp-count: {TCP_CLIENTS}
    minimal-responses: yes
    round-robin: yes
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
    hide-version: yes
remote-control:
    control-enable: no
zone:
    name: {ZONE}
    zonefile: {ZONE}.zone
""")
    write(out, f"{ZONE}.zone", STATIC + version_line() + country_lines(names))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[1])
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=1000000)
    parser.add_argument("--geodb", default=os.path.join(TOP, "build", "bin", "dnsd-geodb"))
    parser.add_argument("--peers", default=os.path.join(TOP, "var", "peers"), help="where scripts/peers.sh put them")
    parser.add_argument("--port", action="append", default=[], metavar="SERVER=PORT")
    args = parser.parse_args()
    ports = {"dnsd": 0}
    for text in args.port:
        server, _, port = text.partition("=")
        if server not in SERVERS or not port.isdigit():
            sys.exit(f"bench_site: --port {text}: write one of {', '.join(SERVERS)}, = and a number")
        ports[server] = int(port)
    for server in SERVERS:
        if ports.setdefault(server, 0) == 0 and server != "dnsd":
            ports[server] = free_port()
    out = os.path.abspath(args.out)
    os.makedirs(out, exist_ok=True)
    for server in SERVERS:
        shutil.rmtree(os.path.join(out, server), ignore_errors=True)
    write_networks(out, args.seed, args.networks, args.geodb)

    names = pools()
    write_dnsd(os.path.join(out, "dnsd"), ports["dnsd"], names)
    write_gdnsd(os.path.join(out, "gdnsd"), ports["gdnsd"], names)
    module = next((os.path.join(folder, "geoip.so") for folder, _, files in os.walk(os.path.join(os.path.abspath(args.peers), "root"))
                   if "geoip.so" in files), "geoip.so")
    write_knot(os.path.join(out, "knot"), ports["knot"], names, module)
    write_nsd(os.path.join(out, "nsd"), ports["nsd"], names)
    write(out, "ports", "".join(f"{server} {ports[server]}\n" for server in SERVERS))


if __name__ == "__main__":
    main()
