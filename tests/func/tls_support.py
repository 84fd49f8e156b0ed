"""DNS over TLS for the functional tests: certificates made by openssl, and a client whose every byte is in the test's hand."""
import re
import socket
import ssl

from harness import DEADLINE_S, Tcp, check, need_program, run


def make_certificate(site, name="tls", days=30, key="ec"):
    """NAME.crt and NAME.key in the site's folder, written anew."""
    openssl = need_program("openssl")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else ["-newkey", key]
    status, text = run([openssl, "req", "-x509", *kind, "-nodes", "-days", str(days), "-subj", f"/CN={name}",
                        "-addext", "subjectAltName=DNS:ns1.clamav.test,IP:127.0.0.1",
                        "-keyout", site.file(name + ".key"), "-out", site.file(name + ".crt")])
    check(status == 0, f"openssl req: {text}")


def make_authority(site, name):
    """NAME.crt and NAME.key of a certificate authority in the site's folder."""
    status, text = run([need_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "30", "-subj", f"/CN={name}", "-keyout", site.file(name + ".key"), "-out", site.file(name + ".crt")])
    check(status == 0, f"openssl req: {text}")


def make_signed(site, authority, name, alternatives, days=30, key=None):
    """NAME.crt by that authority, for these alternatives ("DNS:a.example,IP:192.0.2.1"); of -1 days: it has expired. NAME.key, or that of
    another certificate."""
    openssl = need_program("openssl")
    new_key = ["-key", site.file(key + ".key")] if key else \
        ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", site.file(name + ".key")]
    status, text = run([openssl, "req", "-new", *new_key, "-subj", f"/CN={name}", "-out", site.file(name + ".csr")])
    check(status == 0, f"openssl req: {text}")
    site.write(name + ".ext", f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\n")
    status, text = run([openssl, "x509", "-req", "-in", site.file(name + ".csr"), "-CA", site.file(authority + ".crt"),
                        "-CAkey", site.file(authority + ".key"), "-CAcreateserial", "-days", str(days),
                        "-extfile", site.file(name + ".ext"), "-out", site.file(name + ".crt")])
    check(status == 0, f"openssl x509: {text}")


def tls_keys(name="tls", listen="127.0.0.1@0"):
    """Keys of the server group."""
    return f'tls-listen = [ "{listen}" ]; tls-certificate = "{name}.crt"; tls-key = "{name}.key";'


def tls_addr(daemon, mark=0):
    """(host, port) of the first listener for TLS."""
    for line in daemon.log.since(mark):
        match = re.search(r"(?<!no longer )listening on (\S+)@(\d+) for TLS", line)
        if match:
            return match[1], int(match[2])
    check(False, "the log names no listener for TLS")


def client_context(version=None, alpn=None, ca=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    if version:
        context.minimum_version = context.maximum_version = version
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


class Tls(Tcp):
    """The same through TLS; sock has what lies below."""

    def __init__(self, server, context=None, session=None, source=None, handshake=True, name="ns1.clamav.test"):
        super().__init__(server, source)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client_context()).wrap_bio(self.incoming, self.outgoing, server_hostname=name, session=session)
        if handshake:
            try:
                self.handshake()
            except BaseException:
                self.sock.close()
                raise

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def fill(self):
        data = self.sock.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                self.fill()

    def begin(self):
        """The client's first message, not sent yet."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def send(self, *wires):
        self.tls.write(b"".join(self.frame(wire) for wire in wires))
        self.flush()

    def send_records(self, *wires):
        """Each in a record of its own, all in one go."""
        for wire in wires:
            self.tls.write(self.frame(wire))
        self.flush()

    def read_some(self, n):
        while True:
            try:
                return self.tls.read(n)
            except ssl.SSLWantReadError:
                self.fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def say_goodbye(self):
        """close_notify; the server's is not waited for."""
        try:
            self.tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLError):
            pass
        self.flush()

    def ends(self, deadline_s=DEADLINE_S):
        """How the server ends: "goodbye" (close_notify), "closed" (without), "open" (not at all)."""
        self.sock.settimeout(deadline_s)
        try:
            while True:
                try:
                    if self.tls.read(1) == b"":
                        return "goodbye"
                    return "data"
                except ssl.SSLWantReadError:
                    self.fill()
        except ssl.SSLZeroReturnError:
            return "goodbye"
        except (ssl.SSLEOFError, ConnectionError):
            return "closed"
        except socket.timeout:
            return "open"
