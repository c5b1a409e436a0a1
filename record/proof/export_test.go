package proof

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// FuzzExport checks that any line that is read as an event is exactly what writing that event
// gives.
func FuzzExport(f *testing.F) {
	for _, name := range []string{"record.jsonl", "since-3.jsonl", "pruned.jsonl"} {
		b, err := os.ReadFile("../../docs/vectors/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	const head = `{"export":"klp-audit/export/1","since":0,"tree":[],"key":""}` + "\n"
	f.Add([]byte(head + `{"seq":1,"hash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","event":}` + "\n" + `{"checkpoint":""}` + "\n" + "\n\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := openExport(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrNoExport) {
				t.Error(err)
			}
			return
		}
		for err != io.EOF && err != io.ErrUnexpectedEOF {
			var e Entry
			if e, err = x.next(); err == nil {
				rewrite(t, x.line, e)
			} else if err != io.EOF && err != io.ErrUnexpectedEOF && err != errNoLine {
				t.Fatal(err)
			}
		}
	})
}

func rewrite(t *testing.T, line []byte, e Entry) {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := errors.Join(WriteExportEntry(w, e), w.Flush()); err != nil || strings.TrimSuffix(b.String(), "\n") != string(line) {
		t.Errorf("%q, read and written again, is %q, %v", line, b.String(), err)
	}
}

// A line without an end does not fill the memory.
func TestEndlessLine(t *testing.T) {
	x := io.MultiReader(strings.NewReader(`{"export":"klp-audit/export/1","since":0,"tree":[],"key":""}`+"\n"), endless{})
	if _, err := VerifyExport(t.Context(), x, ""); !errors.Is(err, ErrNoExport) || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("got %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}
