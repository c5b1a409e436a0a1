package store

import (
	"path/filepath"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// maxSmall is how large a file may be that is read whole and holds a few lines.
const maxSmall = 1 << 20

// readAtMost reads a regular file of a certain size at most; links are followed as the system
// does.
func readAtMost(path string, size int64) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return rooted.ReadAtMost("/", path, size)
}
