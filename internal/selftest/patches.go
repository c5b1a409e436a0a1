package selftest

import (
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// rpmHome is where SUSE's rpm has its database.
const rpmHome = "/usr/lib/sysimage/rpm"

// databases are the rpm databases that are there, the folder and the kind of each.
func (m *Machine) databases() (found []string) {
	kinds := map[string]string{"Packages.db": "ndb", "rpmdb.sqlite": "sqlite", "Packages": "bdb"}
	for _, folder := range []string{rpmHome, "/var/lib/rpm"} {
		for _, file := range []string{"Packages.db", "rpmdb.sqlite", "Packages"} {
			if ok, _ := m.there(path.Join(folder, file)); ok {
				found = append(found, folder+", "+kinds[file])
			}
		}
	}
	return found
}

// rpmDatabase looks where the rpm database is, and of which kind.
func rpmDatabase(_ context.Context, m *Machine) Result {
	found := m.databases()
	if len(found) == 0 {
		return notKnown("", "%v", errNoDatabase)
	}
	return is(found[0] == rpmHome+", ndb", found[0], rpmHome+", ndb")
}

var errNoDatabase = errors.New("there is no rpm database in " + rpmHome + " or /var/lib/rpm")

// once asks rpm for the packages, once for all probes; not where it has no database, for it would make one.
func (m *Machine) once(ctx context.Context) func(context.Context) ([]record.Package, error) {
	packages := m.Packages
	ask := sync.OnceValues(func() ([]record.Package, error) {
		if len(m.databases()) == 0 {
			return nil, errNoDatabase
		}
		return packages(ctx)
	})
	return func(context.Context) ([]record.Package, error) { return ask() }
}

// livePatchChangelogs looks for CVE numbers where live patches have them.
func livePatchChangelogs(ctx context.Context, m *Machine) Result {
	return m.changelogs(ctx, record.PackageLivepatch, "KLP: CVE-…", func(p record.Package, text string) (int, bool) {
		evr := rpmversion.Of(p)
		return len(livepatch.ParseFixes(text).CVEs), strings.HasPrefix(evr.Version, "1") && len(evr.Version) == 1 // the initial one fixes nothing
	})
}

func kernelChangelogs(ctx context.Context, m *Machine) Result {
	return m.changelogs(ctx, record.PackageKernel, "CVE-…", func(_ record.Package, text string) (int, bool) {
		return len(livepatch.ParseKernelChangelog(text).CVEs), false
	})
}

// changelogs counts the CVE numbers in the changelogs of packages of a kind.
func (m *Machine) changelogs(ctx context.Context, kind record.PackageKind, form string, count func(p record.Package, text string) (n int, none bool)) Result {
	packages, err := m.Packages(ctx)
	if err != nil {
		return notKnown("", "%v", err)
	}
	var names []string
	for _, p := range packages {
		if livepatch.KindOf(p.Name) == kind && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return notKnown("", "no package of that kind is installed")
	}
	logs, err := m.Changelogs(ctx, names...)
	if err != nil {
		return notKnown("", "%v", err)
	}
	var found []string
	missing := len(logs) == 0
	for p, text := range logs {
		n, none := count(p, text)
		found = append(found, fmt.Sprintf("%s %s: %s in %s", p.Name, p.Version, say.Plural(n, "CVE number"), say.Plural(strings.Count(text, "\n"), "line")))
		missing = missing || n == 0 && !none
	}
	slices.Sort(found)
	return is(!missing, strings.Join(found, "; "), "numbers in the form "+form)
}

// lifecycle looks for the data that say until when kernels get live patches.
func lifecycle(_ context.Context, m *Machine) Result {
	var found []string
	for _, folder := range []string{"/usr/share/lifecycle/data", "/usr/lib/lifecycle/data", "/var/lib/lifecycle/data"} {
		entries, err := rooted.ReadDir(m.Root, folder)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), "live-patching") {
				found = append(found, path.Join(folder, e.Name()))
			}
		}
	}
	if len(found) == 0 {
		return notKnown("", "no data of live patching are installed")
	}
	return asExpected("%s", strings.Join(found, ", "))
}

func klpProgram(_ context.Context, m *Machine) Result {
	found := m.first("/usr/bin/klp", "/usr/sbin/klp")
	if info := m.first("/usr/share/livepatch/info"); info != "" && found != "" {
		found += ", and " + info
	}
	if found == "" {
		return differs("none", "/usr/bin/klp, of klp or kernel-livepatch-tools")
	}
	return asExpected("%s", found)
}

// maxConfig is how much a kernel's configuration may have.
const maxConfig = 4 << 20

func kernelConfig(_ context.Context, m *Machine) Result {
	kernel := m.line("/proc/sys/kernel/osrelease")
	file, text, err := m.kernelConfig(kernel)
	if err != nil {
		return notKnown(kernel, "%v", err)
	}
	var found []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for _, name := range []string{"CONFIG_LIVEPATCH=", "CONFIG_MODULE_SIG_FORCE=", "CONFIG_IKCONFIG_PROC="} {
			if strings.HasPrefix(line, name) {
				found = append(found, line)
			}
		}
	}
	return is(slices.Contains(found, "CONFIG_LIVEPATCH=y"), fmt.Sprintf("%s, %s: %s", kernel, file, cmp.Or(strings.Join(found, ", "), "CONFIG_LIVEPATCH is not set")), "CONFIG_LIVEPATCH=y")
}

func (m *Machine) kernelConfig(kernel string) (file, text string, err error) {
	if file = m.first("/boot/config-"+kernel, "/usr/lib/modules/"+kernel+"/config", "/lib/modules/"+kernel+"/config"); file != "" && kernel != "" {
		text, err = rooted.ReadAtMost(m.Root, file, maxConfig)
		return file, text, err
	}
	file = "/proc/config.gz"
	f, err := rooted.Open(m.Root, file)
	if err != nil {
		return file, "", err
	}
	defer f.Close()
	in, err := gzip.NewReader(f)
	if err != nil {
		return file, "", err
	}
	all, err := io.ReadAll(io.LimitReader(in, maxConfig))
	return file, string(all), err
}

// sysfs says what the kernel shows of live patches.
func sysfs(_ context.Context, m *Machine) Result {
	const folder = "/sys/kernel/livepatch"
	entries, err := rooted.ReadDir(m.Root, folder)
	switch {
	case err != nil && m.noSysfs():
		return notKnown("", "/sys is not there")
	case err != nil:
		return differs("no "+folder, "that folder")
	case len(entries) == 0:
		return notKnown(folder, "no live patch is loaded")
	}
	var names []string
	inside, err := rooted.ReadDir(m.Root, path.Join(folder, entries[0].Name()))
	if err != nil {
		return notKnown(folder, "%v", err)
	}
	for _, e := range inside {
		names = append(names, e.Name())
	}
	return is(slices.Contains(names, "enabled") && slices.Contains(names, "transition"), entries[0].Name()+": "+strings.Join(names, ", "), "enabled and transition")
}
