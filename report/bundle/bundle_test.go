package bundle

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report"
)

func text(name, content string) File {
	return File{name, func(w io.Writer) error { _, err := io.WriteString(w, content); return err }}
}

func TestSameFilesMakeTheSameArchive(t *testing.T) {
	at := time.Date(2026, 6, 29, 9, 0, 1, 5000, time.FixedZone("", 7200))
	a, b := text("b.csv", "a,b\n"), text("a.txt", "some text")
	var one, other bytes.Buffer
	if err := errors.Join(Write(&one, "papers", at, a, b), Write(&other, "papers", at.UTC(), b, a)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one.Bytes(), other.Bytes()) {
		t.Error("the archives differ")
	}
	z, err := zip.NewReader(bytes.NewReader(one.Bytes()), int64(one.Len()))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if !f.Modified.Equal(at.Truncate(2*time.Second)) || f.Mode() != 0o644 {
			t.Errorf("%s: %s, %s", f.Name, f.Modified, f.Mode())
		}
	}
	if want := []string{"papers/a.txt", "papers/b.csv"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	want := errors.New("no")
	if err := Write(io.Discard, "papers", time.Now(), File{"a", func(io.Writer) error { return want }}); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
}

func TestFolder(t *testing.T) {
	at := time.Date(2026, 6, 29, 23, 0, 0, 0, time.UTC)
	for host, want := range map[string]string{
		"db01": "klp-audit-db01-2026-06-29", "": "klp-audit-unnamed-2026-06-29", "../../etc": "klp-audit-______etc-2026-06-29",
		`C:\x`: "klp-audit-C__x-2026-06-29", "db01.example.org": "klp-audit-db01_example_org-2026-06-29", "\x1b[31m\n": "klp-audit-__31m_-2026-06-29",
		strings.Repeat("x", 300): "klp-audit-" + strings.Repeat("x", 64) + "-2026-06-29",
	} {
		if got := Folder(host, at); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}

// What a record says of itself obeys nobody's terminal.
func TestReadmeOfHostileRecord(t *testing.T) {
	v := proof.NewVerification()
	v.Problem(proof.Altered, "event 3: \x1b]0;x\a")
	v.Key, v.Keys = "klp\x1b[2J", []record.VerifiedKey{{Key: "klp\r\x1b[2J"}}
	sum := &record.Summary{Host: record.Host{Hostname: "db01\x1b[2J\n*** INTACT", MachineID: "\u202e0123"}}
	papers := Papers{Verification: v, Provenance: report.NewProvenance("report", "1.0.0", time.Now(), sum), OwnProfile: "ours"}
	var b bytes.Buffer
	if err := papers.WriteReadme(&b); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
		t.Errorf("%q", b.String()[max(0, i-20):])
	}
	for _, want := range []string{"found ALTERED", "*** event 3:", "ours.toml", `prints "not intact"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("without %q:\n%s", want, &b)
		}
	}
}
