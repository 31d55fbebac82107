"""Reads TensorBoard events back, without TensorFlow."""

import struct
from collections import defaultdict

from tensorboardX.proto.event_pb2 import Event


def scalars(folder):
    """Name -> [(epoch, value), ...] of all events files in a folder."""
    found = defaultdict(list)
    for step, value in values(folder):
        if value.HasField("simple_value"):
            found[value.tag].append((step, value.simple_value))
    return dict(found)


def values(folder):
    """(epoch, value) of all events files in a folder: numbers, texts, pictures."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4  # a length and its checksum, the event, its checksum
            yield from ((event.step, value) for value in event.summary.value)
