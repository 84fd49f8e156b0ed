"""A mirror's web server: mirror_server.py FOLDER ADDRESS... serves FOLDER on port 80 of each address.

Says "ready", then one line of JSON for each request: address, method, path, host, agent, range. Lines of standard input are repeated
among them.
"""
import functools
import http.server
import json
import sys
import threading

SAYING = threading.Lock()


def say(line):
    """Whole, whoever else does so."""
    with SAYING:
        print(line, flush=True)


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code="-", size="-"):
        record = {"address": self.server.server_address[0], "method": self.command, "path": self.path, "status": int(code),
                  "host": self.headers.get("Host"), "agent": self.headers.get("User-Agent"),
                  "range": self.headers.get("Range")}
        say(json.dumps(record))

    def log_message(self, *_):
        pass


def main(folder, *addresses):
    handler = functools.partial(Handler, directory=folder)
    servers = [http.server.ThreadingHTTPServer((address, 80), handler) for address in addresses]
    for server in servers:
        threading.Thread(target=server.serve_forever).start()
    say("ready")
    for line in sys.stdin:
        say(line.rstrip("\n"))


if __name__ == "__main__":
    main(*sys.argv[1:])
