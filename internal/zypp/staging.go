package zypp

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// DetectStaging returns the btrfs snapshot of transactional-update that the commit changes, nil for
// the running system. parentArgv is the command line of the libzypp process; hostRoot (see
// InHostRoot) is called only if that names no root directory.
func DetectStaging(environ func(string) string, parentArgv []string, hostRoot func() bool) *record.Staging {
	if !isTrue(environ("TRANSACTIONAL_UPDATE")) {
		return nil
	}
	snapshotRoot := environ("TRANSACTIONAL_UPDATE_ROOT")
	s := &record.Staging{Root: RootOption(parentArgv)}
	if n := record.SnapshotNumber(filepath.Clean(snapshotRoot)); n > 0 {
		s.Snapshot = strconv.FormatInt(n, 10)
	}
	switch {
	case s.Root != "" && s.Root != "/":
	case !hostRoot():
		s.Root, s.Chroot = "/", true
	case snapshotRoot != "":
		s.Root = snapshotRoot
	default:
		return nil
	}
	return s
}

// InHostRoot says whether this process has the root directory of process 1, according to a /proc
// directory. If that cannot be seen, the answer is no.
func InHostRoot(proc string) bool {
	host, err := os.Stat(filepath.Join(proc, "1", "root"))
	if err != nil {
		return false
	}
	own, err := os.Stat("/")
	return err == nil && os.SameFile(host, own)
}

// isTrue reads a boolean environment variable as libzypp does.
func isTrue(value string) bool {
	switch strings.ToLower(value) {
	case "yes", "true", "on", "+":
		return true
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && n != 0
}

// RootOption finds zypper's -R, --root or --installroot, empty if there is none. libzypp 17.31.26
// to 17.32.2 ran plugins for every root, even without a transactional update.
func RootOption(argv []string) string {
	for i, arg := range argv {
		switch arg {
		case "--":
			return ""
		case "-R", "--root", "--installroot":
			if i+1 < len(argv) {
				return argv[i+1]
			}
		}
		for _, prefix := range []string{"--root=", "--installroot="} {
			if dir, found := strings.CutPrefix(arg, prefix); found {
				return dir
			}
		}
	}
	return ""
}
