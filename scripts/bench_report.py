#!/usr/bin/python3
"""bench_report.py WORK [--json FILE] | --capacity KIND SERVER PERCENT: the tables of what scripts/bench.sh measured.

WORK has a file for each kind of measurement, a line of "name=value" for each slice; --json writes the figures as well.
"""
import argparse
import json
import os
import platform
import re
import statistics
import sys
import time

LIMITS = ("limit", "whole")
SERVERS = (*LIMITS, "dnsd", "gdnsd", "knot", "nsd")
KINDS = {"txt": "TXT", "country": "country", "local": "local", "nx": "nx", "mix": "mix"}
FLOOD_SAMPLE = 16  # SAMPLE in tests/bench/flood.c: answers for each that it counts
PERCENTILES = ("p50", "p90", "p99", "p999")


def samples(work, name):
    """[{name: value}] of a file; numbers are numbers."""
    path = os.path.join(work, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        pairs = [re.findall(r"(\w+)=(\S+)", line) for line in file]
    return [{key: float(value) if re.fullmatch(r"[0-9.]+", value) else value for key, value in line} for line in pairs]


def quartiles(values):
    """(first, median, third); of few values the ends."""
    if len(values) < 2:
        return (values[0],) * 3
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


def of(found, **wanted):
    return [one for one in found if all(one[key] == value for key, value in wanted.items())]


def per_core(one):
    """Answers for the time that the server was on a core: what others take of that core does not count."""
    return one["sample"] / one["cpu_ns"]


def cost(found, answers):
    """Of one server in all slices of a kind: nanoseconds on a core for an answer, and the share of them in the kernel."""
    ticks = sum(one["user"] + one["system"] for one in found)
    return {"cpu_ns": sum(one["cpu_ns"] for one in found) / answers if answers else 0,
            "system_share": sum(one["system"] for one in found) / ticks if ticks else 0}


def udp_figures(found):
    """{kind: {server: rate, ratio to the limit in the same round, cost}}"""
    figures = {}
    for kind in KINDS:
        # On a machine that is very busy a slice may be over before anything has run.
        limits = {one["round"]: one for one in of(found, kind=kind, server="limit") if one["rate"]}
        for server in SERVERS:
            mine = [one for one in of(found, kind=kind, server=server) if one["round"] in limits and one["rate"]]
            if not mine:
                continue
            figures.setdefault(kind, {})[server] = {
                "rate": statistics.median(one["rate"] for one in mine),
                "ratio": quartiles([one["rate"] / limits[one["round"]]["rate"] for one in mine]),
                "core_ratio": quartiles([per_core(one) / per_core(limits[one["round"]]) for one in mine]),
                "wrong": sum(one["wrong"] for one in mine) if server not in LIMITS else 0, **cost(mine, FLOOD_SAMPLE * sum(one["sample"] for one in mine))}
    return figures


def latency_figures(found):
    """{kind: {percent: {server: percentiles in microseconds, medians of the rounds}}}"""
    figures = {}
    for one in found:
        here = figures.setdefault(one["kind"], {}).setdefault(str(int(one["percent"])), {})
        if one["server"] in here:
            continue
        mine = of(found, kind=one["kind"], percent=one["percent"], server=one["server"])
        here[one["server"]] = {key: statistics.median(x[key] for x in mine) for key in ("offered", "rate", *PERCENTILES)}
        here[one["server"]]["lost"] = sum(x["lost"] for x in mine)
    return figures


def tcp_figures(found):
    figures = {}
    for kind in ("kept", "new"):
        for server in SERVERS:
            mine = of(found, kind=kind, server=server)
            if mine:
                # The best round: dnsperf with Knot sometimes sticks at some 25 answers a second for a whole slice.
                figures.setdefault(kind, {})[server] = {"rate": max(one["rate"] for one in mine),
                                                        **cost(mine, sum(one["rate"] for one in mine))}
    return figures


def bad_answers(work):
    """Of all that was measured: answers that were wrong, and connections that failed."""
    return sum(one.get(name, 0) for kind in ("udp", "latency", "tcp") for one in samples(work, kind) if one["server"] not in LIMITS
               for name in ("wrong", "failed"))


def table(head, rows):
    width = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [head, ["-" * n for n in width], *rows]
    print("\n".join("| " + " | ".join(text.ljust(n) if i == 0 else text.rjust(n) for i, (text, n) in enumerate(zip(line, width))) + " |"
                    for line in lines) + "\n")


def print_tables(figures):
    udp = figures["udp"]
    present = [server for server in SERVERS if any(server in row for row in udp.values())]

    def rows(text):
        return [[KINDS[kind], *(text(row[server]) if server in row else "–" for server in present)] for kind, row in udp.items()]
    def with_quartiles(name):
        return lambda one: "{1:.2f} ({0:.2f}–{2:.2f})".format(*one[name])
    print("Answers a second over UDP, medians\n")
    table(["query", *present], rows(lambda one: f"{one['rate']:,.0f}"))
    print("Answers a second as a share of the limit's in the same round: median (quartiles)\n")
    table(["query", *present], rows(with_quartiles("ratio")))
    print("The same for each second that the server was on its core, where other programs use it too\n")
    table(["query", *present], rows(with_quartiles("core_ratio")))
    print("Nanoseconds on its core for an answer, and how much of it in the kernel\n")
    table(["query", *present], rows(lambda one: f"{one['cpu_ns']:,.0f} ({one['system_share']:.0%})"))
    for kind, by_percent in figures["latency"].items():
        print(f"Microseconds to the answer, {KINDS[kind]}, at a share of the server's own capacity\n")
        table(["at", "server", "asked/s", "answers/s", *("p50", "p90", "p99", "p99.9"), "lost"],
              [[f"{percent} %", server, f"{one['offered']:,.0f}", f"{one['rate']:,.0f}", *(f"{one[key]:,.0f}" for key in PERCENTILES), f"{one['lost']:.0f}"]
               for percent, row in by_percent.items() for server, one in row.items()])
    if figures["tcp"]:
        print("TCP, queries a second in the best round (nanoseconds of the server's core for each)\n")
        present = [server for server in present if server not in LIMITS]
        table(["connections", *present],
              [[{"kept": "kept, pipelined", "new": "a new one each"}[kind], *(f"{row[s]['rate']:,.0f} ({row[s]['cpu_ns']:,.0f})" for s in present)]
               for kind, row in figures["tcp"].items()])


def machine():
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return {"cpu": model[1] if model else platform.machine(), "cores": os.cpu_count(), "kernel": platform.release()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("work")
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--capacity", nargs=3, metavar=("KIND", "SERVER", "PERCENT"))
    args = parser.parse_args()
    udp = samples(args.work, "udp")
    if args.capacity:
        kind, server, percent = args.capacity
        print(round(statistics.median(one["rate"] for one in of(udp, kind=kind, server=server)) * float(percent) / 100))
        return
    versions_path = os.path.join(args.work, "versions")
    versions = {}
    if os.path.exists(versions_path):
        with open(versions_path) as file:
            versions = dict(line.split() for line in file)
    figures = {"date": time.strftime("%Y-%m-%d"), "machine": machine(), "versions": versions, "rounds": args.rounds, "seconds": args.seconds,
               "udp": udp_figures(udp), "latency": latency_figures(samples(args.work, "latency")),
               "tcp": tcp_figures(samples(args.work, "tcp"))}
    print()
    print_tables(figures)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
    bad = bad_answers(args.work)
    if bad:
        sys.exit(f"bench: {bad:.0f} wrong or failed answers: the figures mean nothing")


if __name__ == "__main__":
    main()
