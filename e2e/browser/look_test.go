package browser

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLook puts pages into a directory for whoever wants to look at them: as they are, as pictures in the
// light and in the dark, and as printed.
func TestLook(t *testing.T) {
	dir := os.Getenv("KLP_AUDIT_LOOK")
	if dir == "" {
		t.Skip("run `make look`")
	}
	check(t, os.MkdirAll(dir, 0o755))
	c := start(t)
	for name, path := range records(t) {
		html, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name+".html"), html, 0o644))
		for _, v := range []view{desktop, phone, desktop.inTheDark(), phone.inTheDark()} {
			c.open(path, v).screenshots(filepath.Join(dir, name+"-"+v.name))
		}
		c.open(path, desktop).pdf(filepath.Join(dir, name+"-a4.pdf"))
	}
}
