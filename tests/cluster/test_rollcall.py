"""The roll call: all hear who is missing, or who contradicts whom."""

import socket
import threading
import time

from ncjax.cluster.rollcall import ClusterError, Place, roll_call


def call(places, timeout=1.0):
    """`roll_call` of all at once: the message of each, "" where all came."""
    messages, met = [None] * len(places), {}

    def run(i, place):
        try:
            met[i] = roll_call(place, timeout)
            messages[i] = ""
        except ClusterError as error:
            messages[i] = str(error)

    threads = [threading.Thread(target=run, args=p) for p in enumerate(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for i, peers in met.items():
        names = [who.split(" ")[:2] for who, _ in peers]
        assert names == [["Process", "0"]] or not places[i].index
        assert len(peers) == (1 if places[i].index else places[i].count - 1)
        for _, peer in peers:
            peer.close()
    return messages


def test_roll_call_of_all(address):
    assert (
        call([Place(address, 3, i, None) for i in (2, 0, 1)], timeout=30.0) == [""] * 3
    )


def test_roll_call_names_the_missing_to_all_that_came(address):
    first, third = call([Place(address, 4, i, None) for i in (0, 2)])
    assert first == third
    assert f"2 of 4 processes came to {address} within 1 s (0 on " in first
    assert "missing: 1, 3." in first


def test_roll_call_without_process_0(address):
    (message,) = call([Place(address, 4, 3, None)])
    assert f"Process 3 of 4 found nobody at {address} within 1 s" in message


def test_roll_call_of_contradicting_processes(address):
    twice = call([Place(address, 3, i, None) for i in (0, 1, 1)], timeout=30.0)
    assert all("Two processes have the number 1" in m for m in twice)
    counts = call(
        [Place(address, n, i, None) for i, n in enumerate((2, 3))], timeout=30.0
    )
    assert counts[0] == counts[1]
    assert "was told of 3 processes, process 0 of 2" in counts[0]


def test_roll_call_on_a_port_in_use_and_among_strangers(address):
    port = int(address.split(":")[1])
    with socket.create_server(("", port)):
        (message,) = call([Place(address, 2, 0, None)])
    assert f"Process 0 cannot listen on port {port}" in message

    def stranger():
        for _ in range(100):
            try:
                with socket.create_connection(("localhost", port), 5) as peer:
                    return peer.sendall(b"GET / HTTP/1.1\n")
            except OSError:
                time.sleep(0.05)

    thread = threading.Thread(target=stranger)
    thread.start()
    places = [Place(address, 2, 0, None)]
    (message,) = call(places, timeout=2.0)
    thread.join()
    assert "missing: 1." in message
