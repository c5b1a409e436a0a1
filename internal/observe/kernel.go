package observe

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

// runningKernel is the release of the running kernel, as uname -r prints it.
func runningKernel(root string) (string, error) { return procWord(root, "/proc/sys/kernel/osrelease") }

// kernelVersion is the version text of the running kernel, and whether it carries the mark of a
// live patch. The patch changes what uname(2) returns, not /proc, so the mark is not known for
// another file tree.
func kernelVersion(root string) (version string, marked *bool, err error) {
	if filepath.Join("/", root) != "/" {
		version, err = procWord(root, "/proc/sys/kernel/version")
		return version, nil, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", nil, fmt.Errorf("asking for the kernel's version: %w", err)
	}
	version = unix.ByteSliceToString(u.Version[:])
	found, _ := livepatch.Marker(version)
	return version, &found, nil
}

func procWord(root, name string) (string, error) {
	text, err := rooted.ReadFile(root, name)
	return strings.ToValidUTF8(strings.TrimSpace(text), "\uFFFD"), err
}

// bootTime is when the machine was booted, to the second (btime in /proc/stat, see proc(5)).
func bootTime(root string) (time.Time, error) {
	text, err := rooted.ReadFile(root, "/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(text) {
		if word, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
			return time.Unix(seconds, 0).UTC(), err
		}
	}
	return time.Time{}, fmt.Errorf("parsing %q: it has no btime", "/proc/stat")
}
