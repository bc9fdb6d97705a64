"""The S3 server of moto, with everything in memory."""

import os
import sys

from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("READY", server.get_host_and_port()[1], flush=True)
# The test holds the other end: however the test ends, this process ends, too.
sys.stdin.buffer.read()
os._exit(0)
