"""An S3 that is not ours: moto's server, with everything in memory."""

import os
import sys

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("READY", server.get_host_and_port()[1], flush=True)
# The other end is the test's: however it dies, nothing is left running.
sys.stdin.buffer.read()
os._exit(0)
