#!/usr/bin/env python3
"""Verify an export of klp-audit, written from docs/record.md: verify.py EXPORT [EARLIER-CHECKPOINT]"""
import base64, hashlib, json, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

def leaf(body):
    return hashlib.sha256(b"\0" + body).digest()

def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()

class Tree:
    """The roots of the complete subtrees, largest first: [(number of leaves, hash)]."""
    def __init__(self, size, hashes):
        self.size = size
        sizes = [1 << bit for bit in range(size.bit_length() - 1, -1, -1) if size >> bit & 1]
        assert len(sizes) == len(hashes), "header: tree"
        self.roots = list(zip(sizes, hashes))
    def add(self, hash):
        self.size += 1
        self.roots.append((1, hash))
        while len(self.roots) > 1 and self.roots[-1][0] == self.roots[-2][0]:
            (n, right), (_, left) = self.roots.pop(), self.roots.pop()
            self.roots.append((2 * n, node(left, right)))
    def root(self):
        hash = self.roots[-1][1]
        for _, left in reversed(self.roots[:-1]):
            hash = node(left, hash)
        return hash

def checkpoint(note, key):
    """Check the signature; return size and root hash."""
    name, id, material = key.split("+", 2)
    material = base64.b64decode(material)
    assert material[0] == 1 and hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8] == id, "key"
    text, signatures = note.split("\n\n", 1)
    signed = [base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith("\u2014 " + name + " ")]
    signature = next(s for s in signed if s[:4].hex() == id)
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature[4:], (text + "\n").encode())
    origin, size, root = text.split("\n")[:3]
    assert origin == name, "origin"
    return int(size), base64.b64decode(root)

first, *events, last = open(sys.argv[1], "rb").read().removesuffix(b"\n").split(b"\n")
header = json.loads(first)
tree = Tree(header["since"], [base64.b64decode(h) for h in header["tree"]])
roots = {tree.size: tree.root()} if tree.size else {}
gone, prune = [], {"through": 0, "kept": []}
for line in events:
    head, event, body = line.partition(b',"event":')
    head, body = json.loads(head + b"}" if event else head), body[:-1]
    assert head["seq"] == tree.size + 1, f"event {tree.size + 1} is missing"
    if not event:
        gone.append(head["seq"])
    else:
        assert base64.b64decode(head["hash"]) == leaf(body), f"event {head['seq']} was altered"
        if json.loads(body)["kind"] == "prune":
            prune = max(json.loads(body)["prune"], prune, key=lambda p: p["through"])
    tree.add(base64.b64decode(head["hash"]))
    roots[tree.size] = tree.root()
for seq in gone:
    assert seq <= prune["through"] and seq not in prune["kept"], f"event {seq} is missing"
for note in [json.loads(last)["checkpoint"]] + [open(path).read() for path in sys.argv[2:]]:
    size, root = checkpoint(note, header["key"])
    assert roots.get(size) == root, f"not the record of the checkpoint over {size} events"
print(f"intact: {tree.size} events, root {base64.b64encode(tree.root()).decode()}, key {header['key']}")
