"""A server that speaks the protocol of MongoDB, on loopback: mongodb.py PORT FOLDER.

Every write that was answered survives a kill, and expired documents go after two seconds.
"""

import signal
import sys

from secantus import SecantusDBServer

server = SecantusDBServer(
    host="127.0.0.1", port=int(sys.argv[1]), storage_path=sys.argv[2], sync_on_commit=True, ttl_sweep_seconds=2.0
)


def stop(*_):
    server.stop()
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
server.start()
server.wait()
