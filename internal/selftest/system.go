package selftest

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klp-audit/klp-audit/internal/bootloader"
	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/rooted"
)

const dracutModules = "/usr/lib/dracut/modules.d"

// dracut says which dracut there is, which of its modules are about live patches, and how much it logs.
func dracut(ctx context.Context, m *Machine) Result {
	entries, err := rooted.ReadDir(m.Root, dracutModules)
	if err != nil {
		return notKnown("", "there is no %s", dracutModules)
	}
	found := []string{}
	if packages, err := m.Packages(ctx); err == nil {
		for _, p := range packages {
			if p.Name == "dracut" {
				found = append(found, "dracut "+p.Version)
			}
		}
	}
	patching := false
	for _, e := range entries {
		if strings.Contains(e.Name(), "livepatch") || strings.Contains(e.Name(), "kgraft") {
			found, patching = append(found, "module "+e.Name()), true
		}
	}
	for _, folder := range []string{"/usr/lib/dracut/dracut.conf.d", "/etc/dracut.conf.d"} {
		found = append(found, m.logLevels(folder)...)
	}
	return is(patching, strings.Join(found, ", "), "a module kernel-livepatch")
}

// logLevels are the settings of how much dracut logs.
func (m *Machine) logLevels(folder string) (found []string) {
	entries, _ := rooted.ReadDir(m.Root, folder)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		for line := range strings.Lines(m.line(path.Join(folder, e.Name()))) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "sysloglvl=") || strings.HasPrefix(line, "stdloglvl=") {
				found = append(found, line)
			}
		}
	}
	return found
}

func dracutModule(_ context.Context, m *Machine) Result {
	const ours = dracutModules + "/99zz-klp-audit/module-setup.sh"
	if ok, err := m.there(ours); err != nil {
		return notKnown("", "%v", err)
	} else if !ok {
		return differs("none", ours)
	}
	entries, err := rooted.ReadDir(m.Root, dracutModules)
	if err != nil {
		return notKnown(ours, "%v", err)
	}
	last := entries[len(entries)-1].Name()
	return is(strings.Contains(last, "klp-audit"), ours+"; the last of dracut's modules is "+last, "ours comes last")
}

// dracutEntries looks in the journal for what our dracut module wrote.
func dracutEntries(ctx context.Context, m *Machine) Result {
	j, err := journal.Read(ctx, m.Journal, journal.Query{Last: true})
	if err != nil {
		return notKnown("", "%v", err)
	}
	builds, own, written := 0, 0, 0
	for _, b := range j.Boots {
		for _, build := range b.ImageBuilds {
			builds++
			if build.Source == journal.SourceOwn {
				own++
			}
			if build.Written != nil {
				written++
			}
		}
	}
	if builds == 0 {
		return notKnown("no build of an initrd in this boot", "none was built since it began, or dracut and its module log nothing")
	}
	return is(own > 0 && written > 0, fmt.Sprintf("builds in this boot: %d, with entries of our module: %d, and that the image was written: %d", builds, own, written), "entries of our module for each build")
}

func bootLoader(_ context.Context, m *Machine) Result {
	e, err := bootloader.Default(m.Root)
	if err != nil {
		return notKnown("", "%v", err)
	}
	if e.KernelRelease == "" {
		return notKnown(e.Source, "its default entry names no kernel")
	}
	return asExpected("%s: kernel %s, initrd %s", e.Source, e.KernelRelease, e.Initrd)
}

// rootSystem says of which file system the root directory is, and whether transactional-update is there.
func rootSystem(_ context.Context, m *Machine) Result {
	text := m.line("/proc/self/mounts")
	if text == "" {
		return notKnown("", "/proc/self/mounts cannot be read")
	}
	kind, options := "", ""
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == "/" {
			kind, options = f[2], f[3]
		}
	}
	found := kind
	for option := range strings.SplitSeq(options, ",") {
		if option == "ro" || strings.HasPrefix(option, "subvol=") {
			found += ", " + option
		}
	}
	program := m.first("/usr/sbin/transactional-update", "/sbin/transactional-update")
	if program == "" {
		return asExpected("%s, no transactional-update", found)
	}
	return is(kind == "btrfs", found+", "+program, "btrfs, below transactional-update")
}

func journalKept(_ context.Context, m *Machine) Result {
	s, err := observe.JournalStorage(m.Root)
	if err != nil {
		return notKnown("", "%v", err)
	}
	found := fmt.Sprintf("Storage=%s, %s", s.Setting, s.Kept)
	if s.File != "" {
		found += ", by " + s.File
	}
	return is(s.Kept == "persistent" && s.Persistent, found, "persistent, with a journal in /var/log/journal")
}

// selinux says whether SELinux enforces, and how the plugin and the record are labelled.
func selinux(_ context.Context, m *Machine) Result {
	mode := map[string]string{"1": "enforcing", "0": "permissive"}[m.line("/sys/fs/selinux/enforce")]
	switch {
	case mode == "" && m.noSysfs():
		return notKnown("", "/sys is not there")
	case mode == "":
		return asExpected("off")
	}
	found := []string{mode}
	wrong := false
	for name, want := range map[string][]string{pluginFile: {"lib_t", "bin_t"}, "/var/lib/klp-audit": {"var_lib_t"}} {
		label := m.label(name)
		found = append(found, name+" "+label)
		fields := strings.Split(label, ":")
		wrong = wrong || len(fields) < 3 || !slices.Contains(want, fields[2])
	}
	slices.Sort(found[1:])
	return is(!wrong, strings.Join(found, ", "), "the plugin lib_t or bin_t, the record var_lib_t")
}

// label is that of a file in SELinux.
func (m *Machine) label(name string) string {
	file, err := rooted.Path(m.Root, name)
	if err != nil {
		return "not there"
	}
	buf := make([]byte, 256)
	n, err := unix.Lgetxattr(filepath.Clean(file), "security.selinux", buf)
	if err != nil {
		return "without a label"
	}
	return strings.TrimRight(string(buf[:n]), "\x00")
}

// appArmor says whether a profile confines zypper.
func appArmor(_ context.Context, m *Machine) Result {
	switch on := m.line("/sys/module/apparmor/parameters/enabled") == "Y"; {
	case !on && m.noSysfs():
		return notKnown("", "/sys is not there")
	case !on:
		return asExpected("off")
	}
	var found []string
	entries, _ := rooted.ReadDir(m.Root, "/etc/apparmor.d")
	for _, e := range entries {
		if strings.Contains(e.Name(), "zypp") || strings.Contains(e.Name(), "packagekit") {
			found = append(found, e.Name())
		}
	}
	return is(len(found) == 0, strings.TrimSuffix("on, "+strings.Join(found, ", "), ", "), "no profile for zypper")
}

func fips(_ context.Context, m *Machine) Result {
	switch m.line("/proc/sys/crypto/fips_enabled") {
	case "1":
		return asExpected("on")
	case "0":
		return asExpected("off")
	}
	return notKnown("", "the kernel does not say")
}
