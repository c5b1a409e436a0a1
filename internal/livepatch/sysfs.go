package livepatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

const (
	klpDir    = "/sys/kernel/livepatch"
	kgraftDir = "/sys/kernel/kgraft" // SUSE Linux Enterprise 12 up to SP3
)

// ErrNoLivepatch says that the running kernel shows no live patches: it was built without live
// patching, or /sys is missing.
var ErrNoLivepatch = errors.New("the kernel shows no " + klpDir)

// Active returns the patch that is active, or about to be: while one enabled patch replaces
// another, the one in transition. It is nil if there is none.
func Active(patches []record.LoadedPatch) *record.LoadedPatch {
	var active *record.LoadedPatch
	for i, p := range patches {
		if p.Enabled && (active == nil || p.Transition) {
			active = &patches[i]
		}
	}
	return active
}

// Loaded lists the live patches in the running kernel of the file tree at root, by the attributes
// that the kernel describes in Documentation/ABI/testing/sysfs-kernel-livepatch. Attributes of
// newer kernels may be missing; patches that were replaced or disabled are not listed.
func Loaded(root string) ([]record.LoadedPatch, error) {
	if _, err := rooted.Stat(root, "/sys/kernel"); err != nil {
		return nil, err
	}
	patches, err := patchesIn(root, klpDir, readPatch)
	if errors.Is(err, fs.ErrNotExist) {
		patches, err = patchesIn(root, kgraftDir, readKGraft)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLivepatch
	}
	return patches, err
}

// patchesIn reads each patch in a folder. A patch that vanishes meanwhile was replaced.
func patchesIn(root, folder string, read func(root, dir string) (record.LoadedPatch, error)) ([]record.LoadedPatch, error) {
	entries, err := rooted.ReadDir(root, folder)
	if err != nil {
		return nil, err
	}
	patches := []record.LoadedPatch{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		dir := path.Join(folder, e.Name())
		p, err := read(root, dir)
		if _, gone := rooted.Stat(root, dir); err != nil && errors.Is(gone, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			// %v, not %w: a missing file must not be mistaken for a missing folder.
			return nil, fmt.Errorf("reading live patch %q: %v", e.Name(), err)
		}
		patches = append(patches, p)
	}
	return patches, nil
}

func readPatch(root, dir string) (record.LoadedPatch, error) {
	p := record.LoadedPatch{Module: path.Base(dir)}
	var errs [6]error
	p.Enabled, errs[0] = readBool(root, path.Join(dir, "enabled"))
	p.Transition, errs[1] = readBool(root, path.Join(dir, "transition"))
	p.Replace, errs[2] = optional(readBool, root, path.Join(dir, "replace"))
	p.StackOrder, errs[3] = optional(readInt, root, path.Join(dir, "stack_order"))
	p.Objects, errs[4] = objects(root, dir)
	p.SrcVersion, errs[5] = srcVersion(root, p.Module)
	return p, errors.Join(errs[:]...)
}

func objects(root, dir string) (map[string]*bool, error) {
	entries, err := rooted.ReadDir(root, dir)
	patched := map[string]*bool{}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		patched[e.Name()], err = optional(readBool, root, path.Join(dir, e.Name(), "patched"))
		if err != nil {
			return nil, err
		}
	}
	return patched, err
}

// readKGraft reads a kGraft patch, which has other attributes (kernel/kgraft_files.c of SUSE's
// kernels 3.12 and 4.4).
func readKGraft(root, dir string) (record.LoadedPatch, error) {
	p := record.LoadedPatch{Module: path.Base(dir), KGraft: true, Objects: map[string]*bool{}}
	if owner, err := os.Readlink(filepath.Join(root, dir, "owner")); err == nil {
		p.Module = path.Base(owner)
	}
	var errs [4]error
	p.Transition, errs[0] = readBool(root, path.Join(kgraftDir, "in_progress"))
	p.Enabled, errs[1] = kgraftEnabled(root, path.Join(dir, "state"))
	p.Replace, errs[2] = optional(readBool, root, path.Join(dir, "replace_all"))
	p.SrcVersion, errs[3] = srcVersion(root, p.Module)
	return p, errors.Join(errs[:]...)
}

// kgraftEnabled reads a table with a heading and the columns function, weak and state (enum
// kgr_patch_state of kgraft.h). In states 1 and 2 a function is patched, at least for some
// processes; in 3 and 4 it is being reverted.
func kgraftEnabled(root, name string) (enabled bool, err error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return false, err
	}
	_, rows, _ := strings.Cut(text, "\n")
	if rows == "" {
		return false, fmt.Errorf("parsing %q: no function", name)
	}
	for row := range strings.Lines(rows) {
		fields := strings.Fields(row)
		if len(fields) != 3 || !isDigits(fields[2]) {
			return false, fmt.Errorf("parsing %q: %.100q is not a state of a function", name, row)
		}
		enabled = enabled || fields[2] == "1" || fields[2] == "2"
	}
	return enabled, nil
}

// srcVersion is the source version of a loaded module; some kernels are built without it.
func srcVersion(root, module string) (string, error) {
	text, err := rooted.ReadFile(root, path.Join("/sys/module", module, "srcversion"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	text = strings.TrimSpace(text)
	if err == nil && (len(text) > 64 || !isPlain(text)) {
		err = fmt.Errorf("parsing source version of module %q: %.100q", module, text)
	}
	return text, err
}

func readBool(root, name string) (bool, error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return false, err
	}
	switch strings.TrimSpace(text) {
	case "0":
		return false, nil
	case "1":
		return true, nil
	}
	return false, fmt.Errorf("parsing %q: %.100q is neither 0 nor 1", name, text)
}

func readInt(root, name string) (int, error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Errorf("parsing %q: %.100q is not a number", name, text)
	}
	return n, nil
}

// optional reads an attribute that a kernel need not have.
func optional[T any](read func(root, name string) (T, error), root, name string) (*T, error) {
	value, err := read(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &value, nil
}
