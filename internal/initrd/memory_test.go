package initrd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// memoryImage names the image that the process of TestMemoryOfOneReading reads.
const memoryImage = "KLP_AUDIT_TEST_IMAGE"

// TestMemoryOfOneReading is the child process of TestScanNeedsLittleMemory.
func TestMemoryOfOneReading(t *testing.T) {
	name := os.Getenv(memoryImage)
	if name == "" {
		t.Skip("runs as a separate process")
	}
	before := peakMemory(t)
	if _, err := Read(t.Context(), name); err != nil && !errors.Is(err, ErrUnreadable) {
		t.Fatal(err)
	}
	if grown := peakMemory(t) - before; grown > 64<<10 {
		t.Errorf("reading took %d KiB", grown)
	} else {
		t.Logf("reading took %d KiB", grown)
	}
}

// peakMemory is the peak resident memory, in KiB.
func peakMemory(t *testing.T) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib
}

func TestScanNeedsLittleMemory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("reads large images")
	}
	noise := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{}).Read(noise)
	patches := func(with func(testing.TB, string) string) (entries []entry) {
		for i := range 8 {
			entries = append(entries, reg(fmt.Sprintf("lib/modules/%d/livepatch/x.ko", i), with(t, string(noise[i:maxModule-1<<19]))))
		}
		return entries
	}
	images := map[string]string{
		"plain":                   whole(patches(asIs)...),
		"zstd":                    wide(t, whole(reg("noise", string(noise)))),
		"patches of zstd in zstd": wide(t, whole(patches(wide)...)),
		"bombs of zstd":           wide(t, whole(reg(patchPath, wide(t, string(make([]byte, 256<<20)))))),
		"blocks of xz":            blocks(t, whole(reg("zeros", string(make([]byte, 32<<20))))),
		"patch of xz in zstd":     wide(t, whole(reg(patchPath, blocks(t, string(make([]byte, maxModule)))), reg("noise", string(noise)))),
		"names":                   longNames(),
	}
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "initrd")
			if err := os.WriteFile(file, []byte(image), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemoryOfOneReading$", "-test.v")
			cmd.Env = append(os.Environ(), memoryImage+"="+file)
			out, err := cmd.CombinedOutput()
			t.Logf("%v\n%s", err, out)
			if err != nil {
				t.Fail()
			}
		})
	}
}

func asIs(_ testing.TB, s string) string { return s }

// wide packs with the largest window that is accepted.
func wide(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(maxWindow), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ReadFrom(&onlyReader{strings.NewReader(s)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// onlyReader hides how much is left.
type onlyReader struct{ io.Reader }

// blocks packs into blocks, each of which needs its own dictionary.
func blocks(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.WriterConfig{DictCap: maxWindow, BlockSize: 1 << 20}.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// longNames has the longest names in every place where names are kept.
func longNames() string {
	var entries []entry
	long := strings.Repeat("/"+strings.Repeat("y", 200), 19)
	for i := range maxModules {
		entries = append(entries, hardlink(fmt.Sprintf("lib/modules/%d/livepatch%s/x.ko", i, long), "", i%2))
	}
	return whole(append(entries, hardlink("x", "1", 0), hardlink("x", "1", 1))...)
}
