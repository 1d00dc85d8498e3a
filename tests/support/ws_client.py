#!/usr/bin/env python3
"""exec or attach over a WebSocket, spoken by hand: ws_client.py CERT_DIR HOST:PORT PATH PROTOCOL [--stdin|--plain]

With --stdin all of standard input goes to channel 0, then (v5 only) the channel is ended. Channels 1 and
2 go to standard output and error. The status of channel 3 is printed on standard error as "status: ..."
and decides the exit code: 0 for success or none, the command's own, or 125. With --plain (watches, logs) messages
have no channels: each is printed as it is, decoded if the protocol is base64.
"""
import base64
import json
import os
import select
import socket
import ssl
import struct
import sys


class Peer:
    """The connection, without blocking: TLS wants one thread for both ways."""

    def __init__(self, folder, address):
        host, port = address.rsplit(":", 1)
        context = ssl.create_default_context(cafile=f"{folder}/certificate-authority.pem")
        context.load_cert_chain(f"{folder}/client-certificate.pem", f"{folder}/client-key.pem")
        context.check_hostname = False
        self.socket = context.wrap_socket(socket.create_connection((host, int(port)), 10))
        self.socket.setblocking(False)
        self.incoming, self.outgoing, self.ended = b"", b"", False

    def step(self, wait_also=()):
        """Waits until something can go on; returns which of wait_also are readable."""
        writing = [self.socket] if self.outgoing else []
        wait = 0 if self.socket.pending() else 20
        ready = select.select([self.socket, *wait_also], writing, [], wait)
        while True:
            try:
                data = self.socket.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                break
            self.ended = self.ended or not data
            if not data:
                break
            self.incoming += data
        try:
            while self.outgoing:
                self.outgoing = self.outgoing[self.socket.send(self.outgoing[:16384]):]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        return [f for f in wait_also if f in ready[0]]

    def frame(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        body = (int.from_bytes(payload, "big") ^
                int.from_bytes((mask * (size // 4 + 1))[:size], "big")).to_bytes(size, "big")
        self.outgoing += head + mask + body

    def take(self):
        """The next frame as (opcode, payload), or None if more bytes are needed."""
        data = self.incoming
        if len(data) < 2:
            return None
        if data[1] & 0x80 or not data[0] & 0x80:
            sys.exit("a masked or fragmented frame from the server")
        size, head = data[1] & 0x7F, 2
        if size == 126:
            if len(data) < 4:
                return None
            size, head = struct.unpack(">H", data[2:4])[0], 4
        elif size == 127:
            if len(data) < 10:
                return None
            size, head = struct.unpack(">Q", data[2:10])[0], 10
        if len(data) < head + size:
            return None
        self.incoming = data[head + size:]
        return data[0] & 0x0F, data[head:head + size]


def connect(folder, address, path, protocol):
    peer = Peer(folder, address)
    lines = [f"GET {path} HTTP/1.1", f"Host: {address}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    peer.outgoing = ("\r\n".join(lines) + "\r\n\r\n").encode()
    while b"\r\n\r\n" not in peer.incoming and not peer.ended:
        peer.step()
    head, _, peer.incoming = peer.incoming.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (f.split(":", 1) for f in fields)}
    if " 101 " not in status + " ":
        while len(peer.incoming) < int(headers.get("content-length", 0)) and not peer.ended:
            peer.step()
        sys.exit(f"no upgrade: {status}: {peer.incoming.decode()}")
    if headers.get("sec-websocket-accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=":
        sys.exit("wrong Sec-WebSocket-Accept")
    return peer, headers.get("sec-websocket-protocol", "")


def exit_code(text):
    try:
        status = json.loads(text)
    except ValueError:
        return 125
    if status["status"] == "Success":
        return 0
    for cause in status.get("details", {}).get("causes", []):
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    return 125


def main():
    folder, address, path, protocol = sys.argv[1:5]
    peer, agreed = connect(folder, address, path, protocol)
    coded = "base64" in agreed
    if agreed != protocol:
        sys.exit(f"asked for {protocol}, got {agreed}")

    def feed():
        data = os.read(0, 65536)
        if data:
            peer.frame(1, b"0" + base64.b64encode(data)) if coded else peer.frame(2, b"\0" + data)
        elif agreed.startswith("v5"):
            peer.frame(2, bytes([255, 0]))
        return bool(data)

    reading = "--stdin" in sys.argv
    plain = "--plain" in sys.argv
    peer.frame(9, b"are you there")
    code, ponged = 0, False
    while True:
        frame = peer.take()
        if frame is None:
            if peer.ended:
                sys.exit("the connection ended without a goodbye")
            if peer.step([0] if reading and len(peer.outgoing) < 1 << 20 else []):
                reading = feed()
            continue
        opcode, payload = frame
        if opcode == 10:
            ponged = payload == b"are you there"
        if opcode == 8:
            peer.frame(8, payload)
            peer.step()
            break
        if opcode not in (1, 2) or not payload:
            continue
        if plain:
            sys.stdout.buffer.write(base64.b64decode(payload) if coded else payload)
            continue
        channel = payload[0] - ord("0") if coded else payload[0]
        data = base64.b64decode(payload[1:]) if coded else payload[1:]
        if channel in (1, 2):
            with os.fdopen(os.dup(channel), "wb") as out:
                out.write(data)
        elif channel == 3 and data:
            os.write(2, b"status: " + data + b"\n")
            code = exit_code(data)
    if not ponged and not plain:
        sys.exit("the ping was not answered")
    sys.exit(code)


main()
