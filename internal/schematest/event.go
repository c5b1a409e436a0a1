package schematest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	"github.com/klp-audit/klp-audit/record/schema"
)

// events are the schemas of events, read once.
var events = sync.OnceValues(func() (Set, error) { return read(schema.Files) })

// Events checks the bodies of events against their schemas.
func Events(t testing.TB, bodies ...[]byte) {
	t.Helper()
	all, err := events()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range bodies {
		for _, wrong := range all.Check("event-1.json", body) {
			t.Errorf("%s\n%.300s", wrong, body)
		}
	}
}

// Record checks all events of a record, which can be exported.
func Record(t testing.TB, r interface {
	Export(ctx context.Context, w io.Writer, since int64) error
}) {
	t.Helper()
	var b bytes.Buffer
	if err := r.Export(context.Background(), &b, 0); err != nil {
		t.Fatal(err)
	}
	Events(t, Bodies(b.Bytes())...)
}

// Bodies returns the bodies of the events in an export.
func Bodies(export []byte) (bodies [][]byte) {
	for line := range bytes.Lines(export) {
		if _, body, ok := bytes.Cut(line, []byte(`,"event":`)); ok {
			bodies = append(bodies, bytes.TrimSuffix(body, []byte("}\n")))
		}
	}
	return bodies
}
