package recorder

import (
	"os"
	"path/filepath"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// WhoRuns returns who runs this program, as far as the system says.
func WhoRuns(root string, getenv func(string) string) record.Actor {
	// It is no error here if no libzypp started this program: who runs it is still known.
	who, _ := zypp.Inspect(os.DirFS(filepath.Join(root, "/proc")), os.DirFS(filepath.Join(root, "/")), os.Getpid(), getenv)
	return who.Actor
}
