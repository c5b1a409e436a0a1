// Package bundle packs a record and the reports on it into one archive, for an auditor's papers. It says how to
// check them.
package bundle

import (
	"archive/zip"
	"cmp"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// File is one file of an archive.
type File struct {
	Name  string
	Write func(io.Writer) error
}

// Write packs files into a folder of a zip archive, which every system opens. The same files make the same archive:
// they are sorted, and all of one time.
func Write(w io.Writer, folder string, at time.Time, files ...File) error {
	z := zip.NewWriter(w)
	for _, f := range slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Name, b.Name) }) {
		h := &zip.FileHeader{Name: path.Join(folder, f.Name), Method: zip.Deflate, Modified: at.UTC().Truncate(2 * time.Second)} // all that zip knows
		h.SetMode(0o644)
		in, err := z.CreateHeader(h)
		if err == nil {
			err = f.Write(in)
		}
		if err != nil {
			return errors.Join(err, z.Close())
		}
	}
	return z.Close()
}

// Folder is a name for the folder of the papers on a host, which any system can have as the name of a file.
func Folder(host string, at time.Time) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, host[:min(len(host), 64)])
	return "klp-audit-" + cmp.Or(plain, "unnamed") + "-" + at.UTC().Format(time.DateOnly)
}
