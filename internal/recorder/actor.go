package recorder

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/record"
)

// actor returns who runs a commit, as it is recorded.
func actor(a zypp.Actor) record.Actor {
	uid := zypp.Unset
	if a.LoginUID != nil {
		uid = strconv.FormatUint(uint64(*a.LoginUID), 10)
	}
	return record.Actor{
		Login: a.Login, LoginUID: uid, EUID: a.EUID, SudoUser: orEmpty(a.SudoUser), SudoUID: orEmpty(a.SudoUID),
		TTY: a.TTY, Session: a.Session, Exe: a.Exe, Automation: a.Automation,
	}
}

// WhoRuns returns who runs this program, as far as the system says.
func WhoRuns(root string, getenv func(string) string) record.Actor {
	// A program that no libzypp started is no error here: who runs it is known all the same.
	a, _, _ := zypp.Inspect(os.DirFS(filepath.Join(root, "/proc")), os.DirFS(filepath.Join(root, "/")), os.Getpid(), getenv)
	return actor(a)
}

// orEmpty is a name that may be missing in the record.
func orEmpty(s string) string {
	if s == zypp.Unset {
		return ""
	}
	return s
}
