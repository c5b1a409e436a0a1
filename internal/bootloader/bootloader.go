// Package bootloader reads what the next boot runs from the configuration of the boot loader:
// GRUB's menu, entries of the Boot Loader Specification, or zipl.conf. It ignores entries of other
// systems, and if the answer cannot be determined it returns an error, never a guess.
package bootloader

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/snapshot"
)

// Entry is what the boot loader starts if nobody intervenes.
type Entry struct {
	Title         string
	KernelRelease string
	Initrd        string // path; empty: the entry has none
	Source        string // the file that decides
}

const (
	grubConf = "/boot/grub2/grub.cfg"
	grubBLS  = "grub2-bls"
)

// Default reads what the next boot would run from the configuration of the boot loader. If that
// cannot be determined, the error says why; it never guesses from the installed kernels.
func Default(root string) (Entry, error) {
	loader, err := loaderType(root)
	if err != nil {
		return Entry{}, err
	}
	var e Entry
	switch loader {
	case "grub2", "grub2-efi":
		e, err = grubDefault(root)
	case "systemd-boot", grubBLS:
		e, err = systemdBootDefault(root, loader)
	case "zipl":
		e, err = ziplDefault(root)
	default:
		return Entry{}, fmt.Errorf("the default entry of boot loader %.100q cannot be read", loader)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("reading the default of boot loader %s: %w", loader, err)
	}
	return e, nil
}

// Next is what the next boot runs. If that may be a snapshot other than the running one, both must
// have the same default.
func Next(root string) (Entry, error) {
	e, err := Default(root)
	if err != nil {
		return e, err
	}
	others, err := otherSnapshots(root)
	for _, tree := range others {
		other, errOther := Default(filepath.Join(cmp.Or(root, "/"), tree))
		if errOther != nil || other.KernelRelease != e.KernelRelease {
			err = errors.Join(err, fmt.Errorf("another snapshot may be booted next, with another kernel: %s", tree))
			continue
		}
		e.Initrd = path.Join(tree, other.Initrd)
	}
	return e, err
}

// EntryOf returns the boot loader's entry for a kernel of this system: the default, if it has this
// kernel, else the only entry with it, in the running snapshot if entries name one. The error is
// ErrNoEntry if there is none, and another one if that cannot be determined.
func EntryOf(root, kernel string) (Entry, error) {
	if e, err := Default(root); err == nil && e.KernelRelease == kernel {
		return e, nil
	}
	loader, err := loaderType(root)
	if err != nil {
		return Entry{}, err
	}
	var entries []Entry
	switch loader {
	case "grub2", "grub2-efi":
		entries, err = grubEntries(root)
	case "systemd-boot", grubBLS:
		entries, err = blsEntriesHere(root)
	default:
		err = fmt.Errorf("the entries of boot loader %.100q are not read", loader)
	}
	if err != nil {
		return Entry{}, err
	}
	entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.KernelRelease != kernel })
	for _, e := range entries {
		if e.Initrd != entries[0].Initrd {
			return Entry{}, fmt.Errorf("kernel %s has entries with several images", kernel)
		}
	}
	if len(entries) == 0 {
		return Entry{}, ErrNoEntry
	}
	return entries[0], nil
}

// ErrNoEntry says that the boot loader has no entry for this kernel of this system.
var ErrNoEntry = errors.New("the boot loader has no entry for it")

// blsEntriesHere are the entries of the running snapshot, and those that name no snapshot.
func blsEntriesHere(root string) (here []Entry, err error) {
	entries, err := blsEntries(root)
	if err != nil {
		return nil, err
	}
	running, _ := snapshot.Subvolume(root) // empty: not known
	for _, e := range entries {
		if e.subvolume == "" || running == "" || e.subvolume == running {
			here = append(here, e.Entry)
		}
	}
	return here, nil
}

// loaderType is the boot loader in SUSE's setting, else the one that is configured.
func loaderType(root string) (string, error) {
	const setting = "/etc/sysconfig/bootloader"
	text, err := rooted.ReadFile(root, setting)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for line := range strings.Lines(text) {
		value, found := strings.CutPrefix(strings.TrimSpace(line), "LOADER_TYPE=")
		if value = strings.Trim(value, `"'`); found && value != "" {
			return value, nil
		}
	}
	var found []string
	for _, loader := range []struct{ name, conf string }{
		{"grub2", grubConf}, {"systemd-boot", "/boot/efi/loader/loader.conf"},
		{"systemd-boot", "/efi/loader/loader.conf"}, {"systemd-boot", "/boot/loader/loader.conf"}, {"zipl", ziplConf},
	} {
		_, err := rooted.Stat(root, loader.conf)
		if err == nil {
			found = append(found, loader.name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	switch len(found) {
	case 0:
		return "", errors.New("no configuration of a boot loader is there: neither grub2, systemd-boot, nor zipl")
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("more than one boot loader is configured (%s), and %s does not say which one is used", strings.Join(found, ", "), setting)
}

// kernelRelease is the release of a kernel, judged by the name of its file; a name without a
// release, such as /boot/vmlinuz, is a link to one with it.
func kernelRelease(root, file string) (string, error) {
	base := path.Base(file)
	if isKernelName(base) {
		target, err := rooted.Path(root, bootFile(file))
		if err != nil {
			return "", err
		}
		base = path.Base(target)
	}
	name, release, _ := strings.Cut(base, "-")
	if !isKernelName(name) || !isRelease(release) {
		return "", fmt.Errorf("the release of kernel %.200q cannot be told", file)
	}
	return release, nil
}

// isKernelName says whether a file is named like kernels on x86_64, s390x, ppc64le and aarch64.
func isKernelName(base string) bool {
	switch base {
	case "vmlinuz", "image", "vmlinux", "Image", "bzImage":
		return true
	}
	return false
}

func isRelease(s string) bool {
	return s != "" && s[0] >= '0' && s[0] <= '9' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._+~-", r)
	})
}
