// Package selftest says what is so on this machine of all that klp-audit expects of SUSE's systems, and that could only be
// read about. It reads, changes nothing, and never fails: what cannot be told is an answer, too.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
)

// Answer says how what was found compares with what was expected.
type Answer string

// The answers.
const (
	AsExpected Answer = "as expected"
	Differs    Answer = "differs"
	NotKnown   Answer = "not known"
)

// Answers returns the closed set of answers.
func Answers() []Answer { return []Answer{AsExpected, Differs, NotKnown} }

// Result is what one probe came to.
type Result struct {
	Name     string `json:"name"`
	Found    string `json:"found"` // empty: nothing
	Answer   Answer `json:"answer"`
	Expected string `json:"expected"` // what differs from it; else empty
	Reason   string `json:"reason"`   // why it is not known; else empty
}

// Machine is what probes look at.
type Machine struct {
	Root string // file tree
	Now  time.Time
	// Packages returns the installed kernels and live patches, and those of libzypp, dracut and transactional-update.
	Packages func(context.Context) ([]record.Package, error)
	// Changelogs returns the changelogs of installed packages.
	Changelogs func(ctx context.Context, names ...string) (map[record.Package]string, error)
	Journal    string // its folder; empty: the system's
	// Recorded is when the plugin recorded a change of a kernel or live patch last; nil: never.
	Recorded *record.Timestamp
	Since    *record.Timestamp // when the record begins; nil: it is empty
	NoRecord string            // why the record cannot tell; empty: it can
}

// probe looks at one thing.
type probe struct {
	name string
	look func(context.Context, *Machine) Result
}

// probes are all, in the order in which they are shown.
var probes = []probe{
	{"plugin", plugin},
	{"plugin-ran", pluginRan},
	{"libzypp", libzypp},
	{"libzypp-mode", libzyppMode},
	{"zypp.conf", zyppConf},
	{"metadata", metadata},
	{"refresh", refreshTimes},
	{"rpm-database", rpmDatabase},
	{"livepatch-changelog", livePatchChangelogs},
	{"kernel-changelog", kernelChangelogs},
	{"lifecycle-data", lifecycle},
	{"klp", klpProgram},
	{"kernel-config", kernelConfig},
	{"sysfs", sysfs},
	{"dracut", dracut},
	{"dracut-module", dracutModule},
	{"dracut-entries", dracutEntries},
	{"boot-loader", bootLoader},
	{"root", rootSystem},
	{"journal", journalKept},
	{"selinux", selinux},
	{"apparmor", appArmor},
	{"fips", fips},
}

// Names returns the names of all probes.
func Names() (names []string) {
	for _, p := range probes {
		names = append(names, p.name)
	}
	return names
}

// Limit is how long all probes together may take.
const Limit = 4 * time.Second

// Run runs all probes, all at once. Of one that has not ended within the limit it says so.
func Run(ctx context.Context, m *Machine) []Result { return run(ctx, m, Limit) }

func run(ctx context.Context, m *Machine, limit time.Duration) []Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	looked := *m
	m = &looked
	m.Packages = m.once(ctx)
	answers := make([]chan Result, len(probes))
	for i, p := range probes {
		answers[i] = make(chan Result, 1) // one that nobody waits for any more
		go func() { answers[i] <- p.run(ctx, m) }()
	}
	var list []Result
	for i, p := range probes {
		late := Result{Name: p.name, Answer: NotKnown, Reason: fmt.Sprintf("it took longer than %s", limit)}
		list = append(list, answered(ctx, answers[i], late))
	}
	return list
}

// answered is an answer that is there, or comes while there is time.
func answered(ctx context.Context, answer <-chan Result, late Result) Result {
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
	}
	select {
	case r := <-answer: // while another one was waited for
		return r
	default:
		return late
	}
}

// run is one probe. What it finds comes from outside.
func (p *probe) run(ctx context.Context, m *Machine) (r Result) {
	const longest = 300 // characters
	defer func() {
		if broken := recover(); broken != nil {
			r = Result{Answer: NotKnown, Reason: fmt.Sprintf("the probe broke: %v", broken)}
		}
		r.Name = p.name
		for _, text := range []*string{&r.Found, &r.Expected, &r.Reason} {
			*text = say.Clip(*text, longest)
		}
	}()
	return p.look(ctx, m)
}

func asExpected(format string, args ...any) Result {
	return Result{Found: fmt.Sprintf(format, args...), Answer: AsExpected}
}

// differs says what was found, and what was expected.
func differs(found, expected string) Result {
	return Result{Found: found, Answer: Differs, Expected: expected}
}

// notKnown says why something is not known, and what was found all the same.
func notKnown(found, format string, args ...any) Result {
	return Result{Found: found, Answer: NotKnown, Reason: fmt.Sprintf(format, args...)}
}

// is compares what was found with what was expected.
func is(ok bool, found, expected string) Result {
	if ok {
		return asExpected("%s", found)
	}
	return differs(found, expected)
}

// there says whether a file is there; it is not known where it cannot be seen.
func (m *Machine) there(name string) (bool, error) {
	_, err := rooted.Stat(m.Root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// noSysfs says whether the kernel shows nothing of itself: then nothing follows of what is not there.
func (m *Machine) noSysfs() bool {
	ok, _ := m.there("/sys/kernel")
	return !ok
}

// first is the first of some files that is there; empty: none is.
func (m *Machine) first(names ...string) string {
	for _, name := range names {
		if ok, _ := m.there(name); ok {
			return name
		}
	}
	return ""
}

// line is the text of a small file; empty: there is none.
func (m *Machine) line(name string) string {
	text, _ := rooted.ReadFile(m.Root, name)
	return strings.TrimSpace(text)
}

// System is what a system calls itself, empty if it does not.
func System(root string) string {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		text, _ := rooted.ReadFile(root, name)
		for line := range strings.Lines(text) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
				return say.Clip(strings.Trim(value, `"'`), 80)
			}
		}
	}
	return ""
}

// Kernel is the release of the kernel that runs, empty if it is not known.
func Kernel(root string) string {
	m := Machine{Root: root}
	return say.Clip(m.line("/proc/sys/kernel/osrelease"), 80)
}
