package observe

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// runningKernel is the release of the running kernel, as uname -r says it.
func runningKernel(root string) (string, error) { return procWord(root, "/proc/sys/kernel/osrelease") }

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
