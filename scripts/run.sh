#!/usr/bin/env bash
# run.sh DNSD: serve the example zone in the foreground, after saying how to ask it.
set -eu
cd "$(dirname "$0")/.."
cat <<'TEXT'

Serving the example zone on 127.0.0.1 port 5300. From another terminal:

  dig @127.0.0.1 -p 5300 current.cvd.clamav.net TXT +short
  dig @127.0.0.1 -p 5300 db.de.clamav.net
  dig @127.0.0.1 -p 5300 db.local.clamav.net +subnet=5.9.0.0/16

  build/bin/dnsdctl -s var/control.sock status
  build/bin/dnsdctl -s var/control.sock explain db.local.clamav.net --ecs 5.9.0.0/16

Ctrl-C stops it.

TEXT
# Where that fails, dnsd serves all the same and says so.
mkdir -p var/state || true
exec "$1" -c contrib/clamav.net/dnsd.conf
