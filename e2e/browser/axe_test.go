package browser

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// axe-core checks pages for obstacles to reading. These are the version and the SHA-512 of its
// package in npm's registry.
const (
	axeVersion = "4.14.1"
	axeSum     = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="
)

// axe returns the script. npm fetches it once, and it is kept in the user's cache.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	check(t, err)
	dir := filepath.Join(cache, "klp-audit")
	path := filepath.Join(dir, "axe-core-"+axeVersion+".tgz")
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		check(t, os.MkdirAll(dir, 0o755))
		cmd := exec.Command("npm", "pack", "--silent", "axe-core@"+axeVersion)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", cmd, err, out)
		}
	}
	b, err := os.ReadFile(path)
	check(t, err)
	if sum := sha512.Sum512(b); base64.StdEncoding.EncodeToString(sum[:]) != axeSum {
		t.Fatalf("%q is not axe-core %s: remove it", path, axeVersion)
	}
	return unpack(t, b, "package/axe.min.js")
}

func unpack(t *testing.T, archive []byte, name string) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(archive))
	check(t, err)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		check(t, err)
		if h.Name != name {
			continue
		}
		b, err := io.ReadAll(r)
		check(t, err)
		return string(b)
	}
}

// violation is something that axe-core found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct {
		HTML           string
		FailureSummary string
	}
}

// violations runs axe-core in the page.
func (p *tab) violations(script string) (found []violation) {
	p.t.Helper()
	p.eval(script+";0", nil)
	p.eval("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)", &found)
	return found
}
