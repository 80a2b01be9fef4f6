#!/usr/bin/python3
"""Writes the first inputs of ws_frames, upgrade and proxy_protocol: tests/fuzz/door_seeds.py (from anywhere; overwrites its own files only)."""
import os
import struct
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
KEY = b"\x37\xfa\x21\x3d"


# ---- WebSocket: u8 seed of the cuts, u8 limits (0 usual, 1 small, 2 largest, 3 one), then the stream
def frame(first, payload=b"", length=None, mask=KEY):
    n = len(payload) if length is None else length
    bit = 128 if mask else 0
    head = bytes([first])
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)) if mask else head + payload


def close(code, reason=b""):
    return frame(0x88, struct.pack(">H", code) + reason)


FRAMES = {
    "hello": (0, frame(0x82, b"Hello")), "fragments": (0, frame(2, b"Hel") + frame(0x89, b"p") + frame(0, b"lo ") + frame(0x8a) + frame(0x80, b"world")),
    "long": (0, frame(0x82, b"x" * 300) + frame(0x82, b"y" * 126)), "empty": (0, frame(0x82) + frame(2) + frame(0) + frame(0x80) + frame(0x82, b"z")),
    "very_long": (0, frame(0x82, b"x" * 65536)), "half": (0, frame(0x82, b"abcdef", length=1000)),
    "ping": (0, frame(0x89, b"p" * 125) + frame(0x89)), "close": (0, frame(0x82, b"data") + close(1000, b"bye") + frame(0x82, b"ignored")),
    "close_utf8": (0, close(1001, "\u20ac".encode())), "close_not_utf8": (0, close(1001, b"\xe2\x82")), "close_own": (0, close(4999)),
    "small_frame": (1, frame(0x82, b"0123456789abcdef") + frame(0x82, b"0123456789abcdef+")),
    "small_message": (1, frame(2, b"0123456789abcdef") + frame(0, b"0123456789abcdef") + frame(0x80, b"012345678")),
    "small_fragments": (1, frame(2, b"0") + frame(0, b"1") * 5), "one": (3, frame(0x82, b"0") + frame(0x82, b"1") + frame(0x82, b"22")),
    "W14_2_63_1": (0, frame(0x82, b"little", length=2**63 - 1)), "W14_top_bit": (0, b"\x82\xff\x80\0\0\0\0\0\0\0abcd"), "W14_padded": (0, b"\x82\xfe\0\x05abcdHello"),
    "W14_padded64": (0, b"\x82\xff\0\0\0\0\0\0\xff\xffabcd"), "W14_sum": (2, frame(2, b"x" * 10) + frame(0, b"y", length=2**32 - 10)),
    "W15_unmasked": (0, frame(0x82, b"Hello", mask=b"")), "W15_rsv": (0, frame(0xc2, b"x")), "W15_opcode": (0, frame(0x83, b"x")), "W15_ping_fragment": (0, frame(9, b"x")),
    "W15_ping_126": (0, frame(0x89, b"x" * 126)), "W16_continuation": (0, frame(0x80, b"x")), "W16_text": (0, frame(0x81, b"x")), "W16_nested": (0, frame(2, b"x") + frame(0x82, b"y")),
    "W17_pings": (0, frame(0x89, b"x") * 50), "W17_fragments": (0, frame(2, b"x") + frame(0, b"x") * 60), "W17_close_1": (0, frame(0x88, b"\x03")), "W17_close_0": (0, frame(0x88)),
    "W17_close_1006": (0, close(1006)),
}


def write(target, inputs):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    for name, data in inputs.items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)


if __name__ == "__main__":
    write("ws_frames", {name: bytes([zlib.crc32(name.encode()) & 255, limits]) + data for name, (limits, data) in FRAMES.items()})
