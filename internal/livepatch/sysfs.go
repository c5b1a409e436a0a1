package livepatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoLivepatch says that the running kernel shows no live patches: it was built without,
// or /sys is not there.
var ErrNoLivepatch = errors.New("the kernel shows no /sys/kernel/livepatch")

// Patch is a live patch in the kernel (Documentation/ABI/testing/sysfs-kernel-livepatch).
// Patches that were replaced or disabled are not listed there.
type Patch struct {
	Module     string
	Enabled    bool
	Transition bool   // enabling or disabling is not complete
	SrcVersion string // of the module; empty: not known
}

// ErrKGraft says that the kernel is patched by kGraft, the predecessor of live patching in
// SLE 12 before SP4, whose files say nothing that is understood here.
var ErrKGraft = errors.New("the kernel has kGraft (/sys/kernel/kgraft), which is not understood")

// Loaded returns the live patches in the running kernel, whose file tree is at root.
func Loaded(root string) ([]Patch, error) {
	entries, err := os.ReadDir(filepath.Join(root, "/sys/kernel/livepatch"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(root, "/sys/kernel/kgraft")); err == nil {
			return nil, ErrKGraft
		}
		return nil, ErrNoLivepatch
	} else if err != nil {
		return nil, err
	}
	patches := []Patch{}
	for _, e := range entries {
		p, err := loaded(root, e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		} else if err != nil {
			return nil, err
		}
		patches = append(patches, p)
	}
	return patches, nil
}

func loaded(root, module string) (p Patch, err error) {
	p.Module = module
	if p.Enabled, err = readFlag(root, module, "enabled"); err != nil {
		return p, err
	}
	if b, readErr := os.ReadFile(filepath.Join(root, "/sys/module", module, "srcversion")); readErr == nil {
		p.SrcVersion = strings.TrimSpace(string(b))
	}
	p.Transition, err = readFlag(root, module, "transition")
	return p, err
}

func readFlag(root, module, name string) (bool, error) {
	path := filepath.Join(root, "/sys/kernel/livepatch", module, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	switch strings.TrimSpace(string(b)) {
	case "0":
		return false, nil
	case "1":
		return true, nil
	}
	return false, fmt.Errorf("reading %q: %.20q is neither 0 nor 1", path, b)
}

// Active returns the patch that is active, or becomes it: of two that are enabled while one
// replaces the other, the one in transition. It is nil if there is none.
func Active(patches []Patch) *Patch {
	var active *Patch
	for i, p := range patches {
		if p.Enabled && (active == nil || p.Transition) {
			active = &patches[i]
		}
	}
	return active
}
