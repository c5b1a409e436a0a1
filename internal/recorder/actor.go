package recorder

import (
	"os"
	"path/filepath"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// WhoRuns returns who runs this program, as far as the system says.
func WhoRuns(root string, getenv func(string) string) record.Actor {
	// A program that no libzypp started is no error here: who runs it is known all the same.
	who, _ := zypp.Inspect(os.DirFS(filepath.Join(root, "/proc")), os.DirFS(filepath.Join(root, "/")), os.Getpid(), getenv)
	return who.Actor
}
