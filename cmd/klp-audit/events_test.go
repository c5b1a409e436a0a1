package main

import (
	"bytes"
	"context"
	"encoding/json"

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
