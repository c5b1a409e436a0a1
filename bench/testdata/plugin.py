"""The least that a commit plugin in Python does: answer, and look for kernels in the steps."""
import json
import sys


def frames(stream):
    data = b""
    while chunk := stream.read1(65536):
        data += chunk
        while b"\0" in data:
            frame, _, data = data.partition(b"\0")
            yield frame


for frame in frames(sys.stdin.buffer):
    head, _, body = frame.partition(b"\n\n")
    if head.startswith((b"COMMITBEGIN", b"COMMITEND")):
        steps = json.loads(body)["TransactionStepList"]
        tracked = [s for s in steps if s["solvable"]["n"].startswith("kernel-")]
    sys.stdout.buffer.write(b"ACK\n\n\0")
    sys.stdout.buffer.flush()
    if head.startswith(b"_DISCONNECT"):
        break
