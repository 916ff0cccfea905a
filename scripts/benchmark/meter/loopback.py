"""Count TCP payload on the loopback device, packet by packet (Linux, root).

Inside a network namespace of its own, the loopback device carries nothing but the traffic of what
is measured. Headers of Ethernet, IP and TCP are not counted; TLS is.
"""

import re
import socket
import struct
import time
from threading import Event

SO_RCVBUFFORCE, SOL_PACKET, PACKET_STATISTICS = 33, 263, 6  # linux/socket.h, linux/if_packet.h
MSG_TRUNC = 0x20
RECEIVE_BUFFER_BYTES = 256 << 20
OUTGOING = 4  # packet type: loopback shows every packet twice


class Wire:
    """The TCP payload on the loopback device, by listening endpoint and direction.

    listening: endpoints (ip, port) to which a connection was opened.
    packets: (time, endpoint, "up" or "down", payload bytes).
    """

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("lo", 0))
        self.socket.settimeout(0.2)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self.listening: set[tuple[str, int]] = set()
        self.packets: list[tuple[float, tuple[str, int], str, int]] = []

    def follow(self, ended: Event) -> None:
        """Count until told to end."""
        buffer = bytearray(160)
        while not ended.is_set():
            try:
                length, _, _, address = self.socket.recvmsg_into([buffer], 0, MSG_TRUNC)
            except TimeoutError:
                continue
            if address[2] != OUTGOING:
                self._count(buffer, length)

    def _count(self, packet: bytearray, length: int) -> None:
        ends = _tcp(packet)
        if ends is None:
            return
        source, target, header, flags = ends
        if flags & 0x12 == 0x02:  # SYN without ACK: the target listens
            self.listening.add(target)
        payload = length - header
        if payload > 0 and target in self.listening:
            self.packets.append((time.time(), target, "up", payload))
        elif payload > 0 and source in self.listening:
            self.packets.append((time.time(), source, "down", payload))

    def total(self, way: str, endpoint: str, first: float, last: float) -> int:
        """Payload bytes of matching endpoints ("ip:port") between two moments.

        way: "up" to the endpoints, or "down" from them.
        """
        return sum(
            size
            for moment, (ip, port), direction, size in self.packets
            if direction == way and first <= moment < last and re.search(endpoint, f"{ip}:{port}")
        )

    def lost(self) -> int:
        """How many packets the kernel could not hand over; if any, the counts are too low."""
        statistic = self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
        return struct.unpack("II", statistic)[1]


def _tcp(packet: bytearray) -> tuple[tuple[str, int], tuple[str, int], int, int] | None:
    """(source, target, bytes of headers, flags) of a TCP packet in an Ethernet frame; None for
    others.
    """
    if packet[12:14] == b"\x08\x00" and packet[23] == socket.IPPROTO_TCP:
        start, family, addresses = 14 + (packet[14] & 15) * 4, socket.AF_INET, (26, 30, 34)
    elif packet[12:14] == b"\x86\xdd" and packet[20] == socket.IPPROTO_TCP:
        start, family, addresses = 54, socket.AF_INET6, (22, 38, 54)
    else:
        return None
    a, b, c = addresses
    source = socket.inet_ntop(family, bytes(packet[a:b]))
    target = socket.inet_ntop(family, bytes(packet[b:c]))
    source_port, target_port = struct.unpack_from("!HH", packet, start)
    header = start + (packet[start + 12] >> 4) * 4
    return (source, source_port), (target, target_port), header, packet[start + 13]
