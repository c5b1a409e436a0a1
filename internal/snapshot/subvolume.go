package snapshot

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// mountInfo lists the mounts of init: a service may see different file systems.
const mountInfo = "/proc/1/mountinfo"

// Subvolume returns where the root directory is within its file system: "/", or a path such as
// /@/.snapshots/7/snapshot. If it changed, the system was rolled back, or updated transactionally.
func Subvolume(root string) (string, error) {
	m, err := RootMount(root)
	return m.Subvolume, err
}

// Mount is what mountinfo says about a mount; see proc(5).
type Mount struct {
	Subvolume string
	ReadOnly  bool   // the mount, or its file system
	Device    string // device that holds the file system
}

// OwnSubvolume returns where the root directory of this process, which may run in a chroot, is
// within its file system.
func OwnSubvolume() (string, error) {
	m, err := rootMount("/", "/proc/self/mountinfo")
	return m.Subvolume, err
}

// RootMount finds the mount of the root directory; the last one hides the ones before.
func RootMount(root string) (Mount, error) { return rootMount(root, mountInfo) }

func rootMount(root, mountInfo string) (Mount, error) {
	text, err := rooted.ReadFile(root, mountInfo)
	if err != nil {
		return Mount{}, err
	}
	var m *Mount
	for line := range strings.Lines(text) {
		mount, super, _ := strings.Cut(line, " - ")
		fields, superFields := strings.Fields(mount), strings.Fields(super)
		if len(fields) < 6 || len(superFields) == 0 {
			return Mount{}, fmt.Errorf("parsing %q: %.200q is not a mount", mountInfo, line)
		}
		if fields[4] == "/" {
			options := "," + fields[5] + "," + superFields[len(superFields)-1] + ","
			m = &Mount{Subvolume: unescapeMount(fields[3]), ReadOnly: strings.Contains(options, ",ro,")}
			if len(superFields) > 1 {
				m.Device = unescapeMount(superFields[1])
			}
		}
	}
	if m == nil {
		return Mount{}, fmt.Errorf("parsing %q: no root directory", mountInfo)
	}
	return *m, nil
}

// unescapeMount undoes the kernel's octal escapes of spaces and backslashes.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
