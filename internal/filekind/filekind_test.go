package filekind

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	verifier = "klp-audit/0123456789abcdef+5383b74f+ASxUOINKdQ9W3gKyy8b0pTvaVxjjZXqVlYRBGY4rIlDE"
	note     = "klp-audit/0123456789abcdef\n3\n3u8C0s5d+q1yQ7mFw/0T6gH2jK9lZx4vB8nM1aS5dFg=\n\n— klp-audit/0123456789abcdef t8Boaq0N\n"
)

// header is the beginning of a SQLite database with an application id.
func header(id string) string {
	return "SQLite format 3\x00" + strings.Repeat("\x00", 52) + id + strings.Repeat("\x00", 28) + "more"
}

func TestKindsOfContent(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		want          Kind
	}{
		{"nothing", "", Empty},
		{"blank", "\n\n", text},
		{"record", header("KLPA"), Record},
		{"other database", header("GPKG"), database},
		{"cut database", header("KLPA")[:99], piece},
		{"export", `{"export":"klp-audit/export/1","since":0,"tree":[],"key":"k"}` + "\n" + `{"seq":1}` + "\n", Export},
		{"export of tomorrow", `{"export":"klp-audit/export/2"}`, Export},
		{"export, changed", "{ \"export\": \"klp-audit/export/1\"}\r\n", Export},
		{"another's export", `{"export":"other/export/1"}`, jsonText},
		{"verification", `{"schema":"klp-audit/verify/1","checkpoint":"c"}`, Verification},
		{"verification, indented", "{\n  \"checkpoint\": \"c\"\n}\n", Verification},
		{"array", "[1]", jsonText},
		{"cut object", `{"a":`, jsonText},
		{"brace and bytes", "{\x00\x01", data},
		{"private key", "PRIVATE+KEY+x+01234567+AAAA\n", PrivateKey},
		{"verifier key", verifier + "\n", VerifierKey},
		{"mistyped verifier key", "x" + verifier, text},
		{"checkpoint", note, Checkpoint},
		{"checkpoint, copied", strings.ReplaceAll(note, "\n", "\r\n") + "\n\n", Checkpoint},
		{"history", "# 2026-11-01\n2026-11-01 10:00:01|install|bash|2-1|x86_64||updates|bb|\n", History},
		{"history after other lines", "broken\n\xff\n2026-11-01 10:00:01|install|bash|2-1|x86_64||updates|bb|\n", History},
		{"passwd", "root:x:0:0:root:/root:/bin/bash\n", text},
		{"UTF-8", "Grüße\n", text},
		{"Latin 1", "Gr\xfc\xdfe\n", data},
		{"program", "\x7fELF\x02\x01", data},
		{"gzip", "\x1f\x8b\x08", "packed with gzip"},
		{"xz", "\xfd7zXZ\x00\x00", "packed with xz"},
		{"zstd", "\x28\xb5\x2f\xfd\x04", "packed with zstd"},
	} {
		if got := of([]byte(tt.content)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	long := []byte(strings.Repeat("ü", prefix/2+1))[1 : prefix+1] // begins and ends within a character
	if got := of(append([]byte("x"), long[1:]...)); got != text {
		t.Errorf("a long text: %s", got)
	}
}

// A file that is not regular is recognized, but not opened: a FIFO would block for ever.
func TestKindsOfFiles(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(unix.Mkfifo(at("fifo"), 0o600), os.Symlink("fifo", at("link")), os.WriteFile(at("file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for path, want := range map[string]Kind{at("fifo"): FIFO, at("link"): FIFO, at("socket"): Socket, dir: Folder, "/dev/zero": Device, "/dev/null": Device, at("file"): Empty} {
		if got, err := Of(path); got != want || err != nil {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
	}
	if _, err := Of(at("nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

func TestPacked(t *testing.T) {
	if !Kind("packed with gzip").Packed() || Export.Packed() {
		t.Error("what is packed is not told apart")
	}
}

// Every content is recognized as something.
func FuzzOf(f *testing.F) {
	for _, s := range []string{"", "{", "[", note, verifier, header("KLPA"), "PRIVATE+KEY+", "a|b|c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if of(b) == "" || !bytes.Equal(b, before) {
			t.Errorf("%q is nothing", b)
		}
	})
}
