package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

// appendEvents writes events into the record of a machine: events ROOT FILE. The file has one
// in JSON after the other; what a header lacks is as it is now.
func appendEvents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: events ROOT FILE")
	}
	ctx, root := context.Background(), ts.MkAbs(args[0])
	s, err := store.Open(ctx, root, "1.0.0")
	ts.Check(err)
	defer s.Close()
	d := json.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(args[1]))))
	d.DisallowUnknownFields()
	for d.More() {
		ev := record.Event{Header: store.NewHeader("", root, "1.0.0")}
		ev.Host.Hostname = "db01"
		ts.Check(d.Decode(&ev))
		ts.Check(s.Append(ctx, &ev))
	}
}

// earlierRecord makes the record that klp-audit 0.1.0 wrote that of a machine: earlier ROOT.
func earlierRecord(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: earlier ROOT")
	}
	root := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Join(root, "etc"), 0o755))
	ts.Check(os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	ts.Check(os.MkdirAll(filepath.Dir(store.Path(root)), 0o755))
	packed, err := os.ReadFile(filepath.Join(ts.Getenv("TESTDATA"), "0.1.0/record.db.zst"))
	ts.Check(err)
	data, err := unpackedBytes(packed)
	ts.Check(err)
	ts.Check(os.WriteFile(store.Path(root), data, 0o600))
}
