package selftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/ini"
	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/tracked"
	"github.com/klp-audit/klp-audit/internal/unpack"
	"github.com/klp-audit/klp-audit/internal/updateinfo"
	"github.com/klp-audit/klp-audit/internal/zypp"
	"github.com/klp-audit/klp-audit/internal/zyppimport"
	"github.com/klp-audit/klp-audit/record"
)

const pluginFile = "/usr/lib/zypp/plugins/commit/klp-audit"

func plugin(_ context.Context, m *Machine) Result {
	info, err := rooted.Stat(m.Root, pluginFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return differs("no "+pluginFile, "the commit plugin there")
	case err != nil:
		return notKnown("", "%v", err)
	}
	return is(info.Mode().Perm()&0o111 != 0, fmt.Sprintf("%s, mode %04o", pluginFile, info.Mode().Perm()), "a file that can be run")
}

// late is how long after a change of packages the record may speak of it.
const late = 10 * time.Minute

// pluginRan compares the record with what rpm and libzypp's history say of the newest change of a tracked package.
func pluginRan(ctx context.Context, m *Machine) Result {
	changed := m.installed(ctx)
	text := "rpm: " + moment(changed)
	history, err := m.changed()
	if err != nil {
		text += "; history: not read"
	} else {
		text += "; history: " + moment(history)
	}
	text += "; recorded: " + recorded(m)
	const twice = 70 * time.Minute // an hour of local time may come twice: rpm knows better which it was
	newest := changed
	if history.After(newest.Add(twice)) {
		newest = history
	}
	switch {
	case newest.IsZero():
		return notKnown(text, "no kernel or live patch was changed, as far as rpm and libzypp's history tell")
	case m.NoRecord != "":
		return notKnown(text, "%s", m.NoRecord)
	case m.Since == nil:
		return notKnown(text, "nothing is on record yet")
	case newest.Before(m.Since.Time):
		return notKnown(text, "nothing was changed since the record begins, at %s", moment(m.Since.Time))
	}
	return is(m.Recorded != nil && newest.Sub(m.Recorded.Time) < late, text, "a record of the newest change")
}

func recorded(m *Machine) string {
	if m.Recorded == nil {
		return "never"
	}
	return moment(m.Recorded.Time)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return record.At(t).Short()
}

// installed is when rpm installed a kernel or live patch last, zero if it does not say.
func (m *Machine) installed(ctx context.Context) (last time.Time) {
	packages, err := m.Packages(ctx)
	if err != nil {
		return last
	}
	for _, p := range packages {
		if at := time.Unix(p.InstallTime, 0).UTC(); isPatched(p.Name) && at.After(last) {
			last = at
		}
	}
	return last
}

func isPatched(name string) bool {
	kind := livepatch.KindOf(name)
	return kind == record.PackageKernel || kind == record.PackageLivepatch
}

const historyFile = "/var/log/zypp/history"

// historyEnd reads the end of libzypp's history.
func (m *Machine) historyEnd(line func(text string)) error {
	const enough = 4 << 20
	f, err := rooted.Open(m.Root, historyFile)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > enough {
		if _, err := f.Seek(size-enough, io.SeekStart); err != nil {
			return err
		}
	}
	for l, err := range zypp.Lines(f) {
		if err == nil {
			line(l.Text)
		}
	}
	return nil
}

// changed is when libzypp changed a kernel or live patch last, as its history says.
func (m *Machine) changed() (last time.Time, err error) {
	zone, err := zyppimport.Zone(m.Root, "")
	if err != nil {
		return last, err
	}
	err = m.historyEnd(func(text string) {
		if strings.HasPrefix(text, "#") {
			return
		}
		r, err := zypp.ParseRecord(text)
		if err != nil || r.Action != zypp.ActionInstall && r.Action != zypp.ActionRemove || !isPatched(r.Name) {
			return
		}
		wall, err := zypp.LocalTime(r.Time)
		if err != nil {
			return
		}
		if at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, zone).UTC(); at.After(last) {
			last = at
		}
	})
	return last, err
}

func libzypp(ctx context.Context, m *Machine) Result {
	packages, err := m.Packages(ctx)
	if err != nil {
		return notKnown("", "%v", err)
	}
	var found []string
	for _, p := range packages {
		if slices.Contains([]string{"libzypp", "zypper", "libsolv-tools", "libsolv-tools-base"}, p.Name) {
			found = append(found, p.Name+" "+p.Version)
		}
	}
	if len(found) == 0 {
		return notKnown("", "rpm names no package libzypp")
	}
	return asExpected("%s", strings.Join(found, ", "))
}

// libzyppMode is how libzypp has rpm install packages. Its history shows it: in classic mode the comment on a package comes
// before its line, in one transaction for all it comes after it.
func libzyppMode(_ context.Context, m *Machine) Result {
	set := ""
	if text, err := rooted.ReadFile(m.Root, m.conf()); err == nil && m.conf() != "" {
		if value := ini.Parse(text).Get("main", "techpreview.ZYPP_SINGLE_RPMTRANS"); value != "" {
			set = "; zypp.conf sets ZYPP_SINGLE_RPMTRANS = " + value
		}
	}
	mode, comment := "", ""
	err := m.historyEnd(func(text string) {
		if c, ok := zypp.ParseComment(text); ok && !c.Removal {
			comment = c.Package
			return
		}
		if r, err := zypp.ParseRecord(text); err == nil && !strings.HasPrefix(text, "#") && r.Action == zypp.ActionInstall {
			mode = "one transaction"
			if strings.HasPrefix(comment, r.Name+"-") && strings.HasSuffix(comment, ".rpm") {
				mode = "classic"
			}
			comment = ""
		}
	})
	switch {
	case err != nil:
		return notKnown(strings.TrimPrefix(set, "; "), "%s cannot be read", historyFile)
	case mode == "":
		return notKnown(strings.TrimPrefix(set, "; "), "%s has no installation", historyFile)
	}
	return is(mode == "classic", mode+", by the order of lines in "+historyFile+set, "classic, libzypp's default")
}

func (m *Machine) conf() string {
	return m.first("/etc/zypp/zypp.conf", "/run/zypp/zypp.conf", "/usr/etc/zypp/zypp.conf")
}

func zyppConf(_ context.Context, m *Machine) Result {
	file := m.conf()
	if file == "" {
		return differs("none", "/etc/zypp/zypp.conf, /run/zypp/zypp.conf or /usr/etc/zypp/zypp.conf")
	}
	if _, err := zypp.GPGCheck(m.Root); err != nil {
		return notKnown(file, "%v", err)
	}
	return asExpected("%s", file)
}

// metadata reads the updateinfo of each enabled repository.
func metadata(ctx context.Context, m *Machine) Result {
	repos, err := m.enabled()
	if err != nil {
		return notKnown("", "%v", err)
	}
	var found, odd []string
	for _, r := range repos {
		text, err := m.updateinfo(ctx, r.Cache)
		switch {
		case err != nil:
			odd = append(odd, r.Alias+": "+err.Error())
		case text != "":
			found = append(found, r.Alias+": "+text)
		}
	}
	switch {
	case len(odd) > 0:
		return notKnown(strings.Join(found, "; "), "%s", strings.Join(odd, "; "))
	case len(found) == 0:
		return notKnown(fmt.Sprintf("enabled repositories: %d", len(repos)), "none has an updateinfo in libzypp's cache")
	}
	return asExpected("%s", strings.Join(found, "; "))
}

func (m *Machine) enabled() ([]zypp.Repository, error) {
	repos, err := zypp.Repositories(m.Root)
	return slices.DeleteFunc(repos, func(r zypp.Repository) bool { return !r.Enabled }), err
}

// updateinfo says in which form a repository has its advisories; empty: it has none.
func (m *Machine) updateinfo(ctx context.Context, cache string) (string, error) {
	folder := path.Join(cache, "repodata")
	entries, err := rooted.ReadDir(m.Root, folder)
	if err != nil {
		return "", nil // never refreshed, or a plain folder of packages
	}
	i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return strings.Contains(e.Name(), "updateinfo.xml") })
	if i < 0 {
		return "", nil
	}
	f, err := rooted.Open(m.Root, path.Join(folder, entries[i].Name()))
	if err != nil {
		return "", err
	}
	defer f.Close()
	in, err := unpack.Reader(f)
	if err != nil {
		return "", err
	}
	defer in.Close()
	ours := 0
	newest, err := updateinfo.Read(ctx, in, tracked.Words(), func(updateinfo.Advisory) error { ours++; return nil })
	if err != nil {
		return "", err
	}
	_, form, _ := strings.Cut(entries[i].Name(), "updateinfo.")
	day := "of no day"
	if newest.Issued != nil {
		day = "of " + newest.Issued.Format(time.DateOnly)
	}
	return fmt.Sprintf("%s, advisories of kernels or live patches: %d, the newest of all %s", form, ours, day), nil
}

// refreshTimes compares when repositories answered last with how often libzypp asks.
func refreshTimes(_ context.Context, m *Machine) Result {
	repos, err := m.enabled()
	if err != nil {
		return notKnown("", "%v", err)
	}
	delay := "10 (default)"
	if text, err := rooted.ReadFile(m.Root, m.conf()); err == nil && m.conf() != "" {
		if value := ini.Parse(text).Get("main", "repo.refresh.delay"); value != "" {
			delay = value
		}
	}
	found := "repo.refresh.delay " + delay + " minutes"
	var newest, oldest time.Time
	n := 0
	for _, r := range repos {
		info, err := rooted.Stat(m.Root, path.Join(r.Cache, "repodata/repomd.xml"))
		if err != nil {
			continue
		}
		n++
		at := info.ModTime().UTC()
		if at.After(newest) {
			newest = at
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if n == 0 {
		return notKnown(found, "none of the enabled repositories (%d) was refreshed", len(repos))
	}
	found = fmt.Sprintf("repomd.xml of %d of %d enabled repositories from %s to %s; %s", n, len(repos), moment(oldest), moment(newest), found)
	const old = 7 * 24 * time.Hour
	return is(m.Now.Sub(oldest) < old && !newest.After(m.Now.Add(time.Minute)), found, "all within 7 days")
}
