"""Reads TensorBoard events back, without TensorFlow."""

import struct
from collections import defaultdict

from tensorboardX.proto.event_pb2 import Event


def scalars(folder):
    """Name -> [(epoch, value), ...] of all events files in a folder."""
    found = defaultdict(list)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4  # a length and its checksum, the event, its checksum
            for value in event.summary.value:
                found[value.tag].append((event.step, value.simple_value))
    return dict(found)
