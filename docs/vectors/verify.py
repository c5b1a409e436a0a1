#!/usr/bin/env python3
"""Verify an export of klp-audit, written from docs/record.md.

verify.py EXPORT [EARLIER-CHECKPOINT...]
verify.py --refused FILE      see that each body in FILE is no event
"""
import base64, hashlib, json, math, re, sys
from datetime import datetime
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

PAYLOADS = {"recorder": "identity", "commit-begin": "begin", "commit-end": "end", "observation": "observation",
            "drift": "drift", "import": "import", "exception": "exception", "prune": "prune"}
DATA_KEYS = {"fixes", "objects", "parts", "unknown"}
INTEGERS = {"boottime_us", "pid", "start_ticks", "schema", "through", "gone"}  # of those whose type differs from text, some

NAME = re.compile("[a-z0-9_-]+")
TEXT = re.compile(rb'("(?:[^"\\]|\\.)*")\s*(:?)')  # each text of a body; a key if a colon follows

def pairs(items):
    assert len({key for key, _ in items}) == len(items), "a key is there twice"
    return dict(items)

def integer(text):
    assert -(1 << 63) <= int(text) < 1 << 64, "a number is out of range"
    return int(text)

def real(text):
    assert math.isfinite(float(text)), "a number is out of range"
    return float(text)

def look(value, depth=1, name=""):
    """Look at what is inside an event, beside what the parser has refused."""
    assert depth <= 1000 or not isinstance(value, (dict, list)), "nested too deep"
    if isinstance(value, dict):
        for key, inner in value.items():
            assert name in DATA_KEYS or NAME.fullmatch(key), f"key {key!r} is no name in lower case"
            assert key not in INTEGERS or name in DATA_KEYS or isinstance(inner, int) and inner < 1 << 64, f"{key} is no integer"
            assert key != "boottime_us" or inner < 1 << 63, "a number is out of range"
            look(inner, depth + 1, key)
    elif isinstance(value, list):
        for inner in value:
            look(inner, depth + 1)
    elif isinstance(value, str):
        value.encode()  # refuses half of a surrogate pair

def event(body, seq):
    """Read event number seq, in the one way that it can be read."""
    assert b"\n" not in body and b"\r" not in body, "not one line"
    sys.setrecursionlimit(20000)
    ev = json.loads(body.decode(), object_pairs_hook=pairs, parse_int=integer, parse_float=real, parse_constant=real)
    for text, colon in TEXT.findall(body):
        assert not colon or b"\\" not in text or not NAME.fullmatch(json.loads(text)), "a key is written with escapes"
    look(ev)
    assert ev["v"] == 1, "version"
    assert re.fullmatch("[0-9A-Za-z-]{1,64}", ev["id"]) and re.fullmatch("[a-z-]{1,64}", ev["kind"]), "id or kind"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", ev["time"]) and datetime.fromisoformat(ev["time"][:-1]), "time"
    about = [key for key in PAYLOADS.values() if key in ev]
    assert about == [PAYLOADS[ev["kind"]]] if ev["kind"] in PAYLOADS else not about, "it is about something else"
    assert all(ev[key] is not None for key in about), "it is about nothing"
    if ev["kind"] == "prune":
        p = ev["prune"]
        assert 0 <= p["through"] < seq and p["horizon"] <= ev["time"] and 0 <= p["gone"] <= p["through"], "prune"
        assert sorted(set(p["kept"])) == p["kept"] and all(0 < n <= p["through"] for n in p["kept"]), "prune: kept"
    return ev

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

def signed(note, key):
    """Check the signature of a key, and return the lines that it signed."""
    name, id, material = key.split("+", 2)
    material = base64.b64decode(material)
    assert material[0] == 1 and hashlib.sha256(name.encode() + b"\n" + material).hexdigest()[:8] == id, "key"
    text, signatures = note.split("\n\n", 1)
    mine = [base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith("\u2014 " + name + " ")]
    signature = next((s for s in mine if s[:4].hex() == id), b"")
    Ed25519PublicKey.from_public_bytes(material[1:]).verify(signature[4:], (text + "\n").encode())
    return name, text.split("\n")

def checkpoint(note, key):
    """Check a checkpoint; return size and root hash."""
    name, (origin, size, root, *_) = signed(note, key)
    assert origin == name, "origin"
    return int(size), base64.b64decode(root)

def handed_over(note, old, new, size, root):
    """See that one key hands the log over to another."""
    assert checkpoint(note, old) == (size, root) and signed(note, new)[1][3:] == ["next-key " + new], f"event {size + 1}: nobody signed for its key"

def verify(path, earlier):
    first, *lines, last = open(path, "rb").read().removesuffix(b"\n").split(b"\n")
    header = json.loads(first)
    tree = Tree(header["since"], [base64.b64decode(h) for h in header["tree"]])
    roots = {tree.size: tree.root()} if tree.size else {}
    gone, looks, ids, keys, prune = [], [], set(), [], {"through": 0, "kept": []}
    for line in lines:
        head, has_body, body = line.partition(b',"event":')
        head, body = json.loads(head + b"}" if has_body else head), body[:-1]
        seq = tree.size + 1
        assert head["seq"] == seq, f"event {seq} is missing"
        if not has_body:
            gone.append(seq)
        else:
            assert base64.b64decode(head["hash"]) == leaf(body), f"event {seq} was altered"
            ev = event(body, seq)
            assert ev["id"] not in ids, f"event {seq}: its id is there twice"
            ids.add(ev["id"])
            if ev["kind"] == "prune" and ev["prune"]["through"] >= prune["through"]:
                prune = ev["prune"]
            if ev["kind"] in ("observation", "drift"):
                looks.append(seq)
            if ev["kind"] == "recorder":
                identity = ev["identity"]
                assert identity["cause"] not in ("proof-broken", "record-lost"), f"event {seq}: {identity['cause']}"
                if keys and keys[-1] != identity["key"]:
                    handed_over(identity.get("checkpoint", ""), keys[-1], identity["key"], tree.size, tree.root())
                keys.append(identity["key"])
        tree.add(base64.b64decode(head["hash"]))
        roots[tree.size] = tree.root()
    for seq in gone:
        assert seq <= prune["through"] and seq not in prune["kept"], f"event {seq} is missing"
    assert not gone or sum(seq <= prune["through"] for seq in looks) <= 5 + len(gone), "pruned was not what was old, but what was chosen"
    assert not keys or keys[-1] == header["key"], "header: key"
    size, root = checkpoint(json.loads(last)["checkpoint"], header["key"])
    assert size == tree.size and roots[size] == root, "not the record of its checkpoint"
    for path in earlier:
        note = open(path).read()
        key = next(key for key in [header["key"], *keys] if key.split("+")[0] == note.split("\n")[0])
        size, root = checkpoint(note, key)
        assert roots.get(size) == root, f"not the record of the checkpoint over {size} events"
    print(f"intact: {tree.size} events, root {base64.b64encode(tree.root()).decode()}, key {header['key']}")

def refused(path):
    for line in open(path):
        vector = json.loads(line)
        body = base64.b64decode(vector["body64"]) if "body64" in vector else vector["body"].encode("utf-8", "surrogatepass")
        try:
            event(body, vector["seq"])
        except Exception as why:
            print(f"refused: {vector['why']}: {why}"[:120])
        else:
            sys.exit(f"not refused: {vector['why']}")

if not __debug__:
    sys.exit("nothing is checked with -O or PYTHONOPTIMIZE: run it without")
if sys.argv[1] == "--refused":
    refused(sys.argv[2])
else:
    try:
        verify(sys.argv[1], sys.argv[2:])
    except (OSError, MemoryError):
        raise  # that says nothing of the record
    except Exception as why:
        sys.exit(f"not intact: {why or type(why).__name__}")
