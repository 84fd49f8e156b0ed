#!/usr/bin/env python3
"""Four made-up days of a pool as a monitor would see them, as CSV on standard output; the same bytes each time.

    make-monitor-day.py MIRRORS-FILE

Lines "push,AT,,,TIMESTAMP,,": the references have a new timestamp; "check,AT,ADDRESS,REASON,TIMESTAMP,MS,DETAIL": a check has
ended. Times are seconds since 1970. Every third hour the timestamp is pushed, and each mirror has it within the minute; each
address is checked once an hour, five minutes after a check that failed and ten times after the last of these. Nothing of it was recorded
anywhere: what goes wrong is listed below, and the rest is drawn, for each address by itself.
"""
import random
import re
import sys

START = 1795219200  # 2026-11-21T00:00:00Z
HOUR = 3600
END = START + 96 * HOUR


def at(day, hour, minute=0):
    return START + day * 24 * HOUR + hour * HOUR + minute * 60


STALLS = {  # no push comes through: thirty hours, and sixty
    "clamav2.us.example": (at(0, 12, 30), at(1, 18, 30)),
    "clamav1.ch.example": (at(0, 12, 30), at(3, 0, 30)),
}
PARTITION = ("JP", at(1, 10), at(1, 10, 20))  # a country that can't be reached for twenty minutes
WRONG = ("clamav1.fr.example", at(0, 15), at(0, 16, 30))  # one address gives somebody else's page
FLAPS = ("clamav1.pl.example", [(at(2, h), at(2, h + 1, 15)) for h in (1, 4, 7)])
REFUSED = ("clamav2.ru.example", at(3, 6), at(3, 7))  # it no longer lets clients in; then its web server is broken for half an hour
BROKEN = [("clamav2.ru.example", at(3, 7), at(3, 7, 30)), ("clamav3.de.example", at(3, 9), at(3, 11))]
SLOW = ("clamav2.nl.example", at(2, 10), at(2, 18))  # a check takes 12 seconds more


def read_mirrors(path):
    text = open(path).read()
    for host, country, addresses in re.findall(r'host = "([^"]+)"; country = "(..)"; addresses = \[([^]]*)\]', text):
        yield host, country, re.findall(r'"([^"]+)"', addresses)


def finding(host, country, number, now):
    if country == PARTITION[0] and PARTITION[1] <= now < PARTITION[2]:
        return "unreachable", "connect: timed out after 10 s"
    if host == WRONG[0] and number == 0 and WRONG[1] <= now < WRONG[2]:
        return "wrong-content", "daily.cvd: begins with <html>"
    if host == FLAPS[0] and any(begin <= now < end for begin, end in FLAPS[1]):
        return "unreachable", "connect: refused"
    if host == REFUSED[0] and REFUSED[1] <= now < REFUSED[2]:
        return "refused", "GET /timestamp: 403"
    if any(host == broken and begin <= now < end for broken, begin, end in BROKEN):
        return "http-error", "GET /timestamp: 503"
    return "", ""


def timestamp(host, delay, now):
    pushed = START - 3 * HOUR
    for push in range(START, now + 1, 3 * HOUR):
        begin, end = STALLS.get(host, (0, 0))
        if push + delay <= now and not begin <= push < end:
            pushed = push
    return pushed


def main():
    lines = [(push + 60, "push,%d,,,%d,," % (push + 60, push)) for push in range(START, END, 3 * HOUR)]
    for host, country, addresses in read_mirrors(sys.argv[1]):
        for number, address in enumerate(addresses):
            draw = random.Random(address)
            delay = int(draw.random() * 60)
            now = START + 60 + int(draw.random() * HOUR)
            soon = 0
            while now < END:
                reason, detail = finding(host, country, number, now)
                stamp = timestamp(host, delay, now) if not reason else 0
                took = 20 + int(draw.random() * 400) + (12000 if host == SLOW[0] and SLOW[1] <= now < SLOW[2] else 0)
                lines.append((now, "check,%d,%s,%s,%d,%d,%s" % (now, address, reason, stamp, took, detail)))
                soon = 10 if reason else max(0, soon - 1)
                now += int((300 if soon else HOUR) * (0.9 + 0.2 * draw.random()))
    lines.sort()
    print("\n".join(line for _, line in lines))


main()
