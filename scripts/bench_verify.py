#!/usr/bin/python3
"""bench_verify.py SITE --dnsctl PROGRAM SERVER=PORT...: do all servers give the same answers?

What is right: dnsdctl's explanation of dnsd's configuration, and the list of networks that the databases were made of. A figure of a server that
answers something else would be worth nothing.
"""
import argparse
import bisect
import ipaddress
import json
import os
import random
import subprocess
import sys

import dns.edns
import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

import bench_site

SUBNETS = 300
ZONE = bench_site.ZONE


def ask(port, name, rdtype, subnet=None):
    options = [dns.edns.ECSOption(subnet, 24)] if subnet else []
    query = dns.message.make_query(f"{name}.{ZONE}", rdtype, use_edns=0 if options else None, options=options or None)
    return dns.query.udp(query, "127.0.0.1", timeout=5, port=port)


def data_of(answer):
    """(rcode, sorted answer data, TTLs, records of the other sections but OPT)"""
    data = sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)
    return dns.rcode.to_text(answer.rcode()), data, {rrset.ttl for rrset in answer.answer}, len(answer.authority) + len(answer.additional)


def without_time(text):
    """The version record but for its field of the last verification: each server's start."""
    fields = text.strip('"').split(":")
    return fields[:3] + fields[4:]


class Networks:
    """The list that the databases were made of."""

    def __init__(self, site):
        self.starts, self.codes = [], []
        with open(os.path.join(site, "networks")) as file:
            for line in file:
                start, _, code = line.rstrip().split(",")
                self.starts.append(int(start))
                self.codes.append(code)

    def country(self, address):
        return self.codes[bisect.bisect_right(self.starts, int(ipaddress.IPv4Address(address))) - 1]

    def is_one_country(self, subnet, scope):
        """Does the block of this length around the subnet lie in one country?"""
        block = ipaddress.ip_network((subnet, scope), strict=False)
        first = bisect.bisect_right(self.starts, int(block.network_address)) - 1
        last = bisect.bisect_right(self.starts, int(block.broadcast_address)) - 1
        return len(set(self.codes[first:last + 1])) == 1


def explanations(site, program, subnets):
    """{subnet: country} as dnsd's own configuration explains it."""
    lines = "".join(f"db.local.{ZONE} A 127.0.0.1 {subnet}/24\n" for subnet in subnets)
    done = subprocess.run([program, "-c", os.path.join(site, "dnsd", "dnsd.conf"), "explain", "-"], input=lines, stdout=subprocess.PIPE,
                          text=True, check=True)
    return {subnet: json.loads(line)["result"]["client"]["country"] for subnet, line in zip(subnets, done.stdout.splitlines(), strict=True)}


def check_server(server, port, names, networks, countries):
    """Yields what is wrong."""
    rcode, data, ttls, other = data_of(ask(port, "current.cvd", "TXT"))
    if (rcode, ttls, other) != ("NOERROR", {bench_site.TTL_S}, 0) or [without_time(text) for text in data] != [
            ["1.4.3", "62", "27500", "1", "90", "49192", "335"]]:
        yield f"current.cvd: {rcode} {data} TTL {ttls}, {other} other records"
    for code, addresses in names.items():
        got = data_of(ask(port, f"db.{code}", "A"))
        if got != ("NOERROR", addresses, {bench_site.TTL_S}, 0):
            yield f"db.{code}: {got}, not {addresses}"
    answer = ask(port, "x00001", "A")
    rcode, data, _, other = data_of(answer)
    if (rcode, data, other) != ("NXDOMAIN", [], 1) or answer.authority[0].rdtype != dns.rdatatype.SOA:
        yield f"x00001: {answer}"
    if server == "nsd":
        return
    for subnet, country in countries.items():
        answer = ask(port, "db.local", "A", subnet)
        if data_of(answer) != ("NOERROR", names[country.lower()], {bench_site.TTL_S}, 0):
            yield f"db.local for {subnet}/24: {data_of(answer)}, not those of {country}"
        scopes = [option.scopelen for option in answer.options if isinstance(option, dns.edns.ECSOption)]
        if len(scopes) != 1:
            yield f"db.local for {subnet}/24: {len(scopes)} client subnet options"
        elif scopes[0] <= 24 and not networks.is_one_country(subnet, scopes[0]):
            yield f"db.local for {subnet}/24: scope {scopes[0]}, but that block has several countries"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("site")
    parser.add_argument("servers", nargs="+", metavar="SERVER=PORT")
    parser.add_argument("--dnsctl", required=True)
    args = parser.parse_args()
    names = bench_site.pools()
    networks = Networks(args.site)
    rng = random.Random(2)
    subnets = [str(ipaddress.IPv4Address(rng.getrandbits(24) << 8)) for _ in range(SUBNETS)]
    countries = explanations(args.site, args.dnsctl, subnets)
    wrong = [f"dnsd takes {subnet} for {country}, the list has {networks.country(subnet)}" for subnet, country in countries.items()
             if country != networks.country(subnet)]
    for text in args.servers:
        server, port = text.split("=")
        try:
            wrong += [f"{server}: {trouble}" for trouble in check_server(server, int(port), names, networks, countries)]
        except dns.exception.Timeout as timeout:
            wrong.append(f"{server}: {timeout}")
    for trouble in wrong[:20]:
        print(f"bench: {trouble}", file=sys.stderr)
    if wrong:
        sys.exit(f"bench: {len(wrong)} answers differ; figures of different answers can't be compared")
    print(f"the same answers from {', '.join(text.split('=')[0] for text in args.servers)}: {len(names)} countries, {SUBNETS} client subnets")


if __name__ == "__main__":
    main()
