package bootloader

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// ownSystem is what identifies this system in a boot loader's entry.
type ownSystem struct {
	tree      string
	roots     []string // names of its root file system: UUID=…, /dev/…; none: not known
	boots     []string // names of /boot's file system; none: not known
	machineID string   // empty: not known
}

func readOwnSystem(tree string) ownSystem {
	o := ownSystem{tree: tree}
	if text, err := rooted.ReadFile(tree, "/etc/machine-id"); err == nil {
		o.machineID = strings.TrimSpace(text)
	}
	if text, err := rooted.ReadFile(tree, "/proc/cmdline"); err == nil {
		o.add(&o.roots, rootArgument(strings.Fields(text)))
	}
	fstab, err := rooted.ReadFile(tree, "/etc/fstab")
	if err != nil {
		return o
	}
	for line := range strings.Lines(fstab) {
		switch fields := strings.Fields(line); {
		case len(fields) < 2 || strings.HasPrefix(fields[0], "#"):
		case fields[1] == "/":
			o.add(&o.roots, fields[0])
		case fields[1] == "/boot":
			o.add(&o.boots, fields[0])
		}
	}
	return o
}

func (o *ownSystem) add(list *[]string, name string) {
	if name = strings.ReplaceAll(name, `"`, ""); name != "" {
		*list = append(*list, name)
	}
}

// rootArgument is the root file system in a kernel's command line, empty if it has none.
func rootArgument(words []string) (name string) {
	for _, w := range words {
		if value, ok := strings.CutPrefix(w, "root="); ok {
			name = value
		}
	}
	return name
}

// check returns an error if an entry starts another system, judged by its root file system or by
// the file system that holds its files (uuid). Anything unknown is ignored.
func (o ownSystem) check(root, uuid string) error {
	if root = strings.ReplaceAll(root, `"`, ""); root != "" && len(o.roots) > 0 && !o.is(root, o.roots) {
		return fmt.Errorf("it starts another system, as far as can be told: its root is %.100q, this one's %.100q", root, o.roots[0])
	}
	boots := o.boots
	if len(boots) == 0 {
		boots = o.roots
	}
	comparable := slices.ContainsFunc(boots, func(b string) bool { return strings.HasPrefix(b, "UUID=") })
	if uuid != "" && comparable && !o.is("UUID="+uuid, boots) {
		return fmt.Errorf("it starts another system, as far as can be told: its files are on %.100q, this one's on %.100q", "UUID="+uuid, boots[0])
	}
	return nil
}

// is says whether a name is one of others, or names the same device.
func (o ownSystem) is(name string, others []string) bool {
	device := o.device(name)
	return slices.ContainsFunc(others, func(other string) bool {
		return strings.EqualFold(name, other) || device != "" && device == o.device(other)
	})
}

// device is the device of a file system, if udev has named it; empty: not known.
func (o ownSystem) device(name string) string {
	kind, value, ok := strings.Cut(name, "=")
	if ok {
		name = path.Join("/dev/disk", "by-"+strings.ToLower(kind), value)
	}
	if !strings.HasPrefix(name, "/dev/") {
		return ""
	}
	device, err := rooted.Path(o.tree, name)
	if err == nil {
		device, err = filepath.EvalSymlinks(device)
	}
	if err != nil {
		return ""
	}
	return device
}
