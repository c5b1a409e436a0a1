package initrd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzScan checks that no image makes the reader panic or hang, and that the result is consistent.
func FuzzScan(f *testing.F) {
	ko := livePatch("AAAA")
	for _, kind := range []string{"none", "gzip", "xz", "zstd"} {
		f.Add([]byte(microcode() + "\x00\x00\x00\x00" + compress(f, kind, whole(reg(patchPath, ko)))))
		f.Add([]byte(whole(reg(patchPath+".x", compress(f, kind, ko)), hardlink(patchPath, "", 3), hardlink("x", ko, 3))))
	}
	f.Fuzz(func(t *testing.T, image []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		img, err := Scan(ctx, strings.NewReader(string(image)))
		if err != nil {
			if !errors.Is(err, ErrUnreadable) {
				t.Fatal(err)
			}
			return
		}
		if !slices.IsSorted(paths(img)) || img.Size != int64(len(image)) {
			t.Errorf("%+v", img)
		}
		for _, m := range img.Modules {
			if m.Name == "" || m.KernelRelease == "" && !strings.Contains(m.Path, "modules//") || m.SHA256 == "" || m.Size == 0 {
				t.Errorf("%+v", m)
			}
		}
	})
}

// FuzzModInfo checks that no file makes the reader of .modinfo panic.
func FuzzModInfo(f *testing.F) {
	f.Add([]byte(livePatch("AAAA")))
	f.Fuzz(func(t *testing.T, file []byte) {
		for key, value := range readModInfo(file) {
			if !isWord(value) {
				t.Errorf("%q=%q", key, value)
			}
		}
	})
}
