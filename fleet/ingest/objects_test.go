package ingest_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// A line of empty objects is short, and takes 700 times the memory when it is read: it is not taken, also
// of hosts that nobody knows. As many changes as a host can have in one event are.
func TestManyObjects(t *testing.T) {
	c, g := newCollector(t), prooftest.New(t)
	g.Add(record.KindDrift, func(ev *record.Event) {
		ev.Drift = &record.Drift{Cause: record.DriftUnrecorded, Since: prooftest.At(0), Changes: make([]record.Change, 5000), Installed: make([]record.Package, 5000)}
	})
	c.sends(g.Export(0), ingest.Stored)
	hostile := prooftest.New(t)
	hostile.AddDrift(1)
	hostile.AddBody(bytes.Replace(hostile.Bodies[1], []byte(`"changes":[]`), []byte(`"changes":[{}`+strings.Repeat(",{}", 100_000)+`]`), 1))
	if _, err := c.Ingest(t.Context(), bytes.NewReader(hostile.Export(0))); !errors.Is(err, ingest.ErrTooMuch) {
		t.Error(err)
	}
}
