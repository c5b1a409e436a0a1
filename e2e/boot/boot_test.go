// Package boot boots a real kernel with a real live patch, and there asks klp-audit what the
// initrd contains.
//
// machine.sh makes the machine: a Debian 12 tree (from ../tree.sh, which keeps it), two live
// patches built like the kernel's samples/livepatch and packaged as SUSE does, a dracut module
// that stands in for SUSE's and loads them in the initrd, and klp-audit as `make install`
// installs it, including its own dracut module and its service. qemu runs the machine without
// hardware virtualization, so that it runs everywhere. The kernel command line says what the
// machine does in a boot (testdata/guest/acts.sh). It stores the answers of klp-audit on its
// disk, and debugfs reads them after the machine has powered off.
//
// There are two stories. Good: the initrd contains the active patch. Stale: the second patch is
// installed without a rebuild of the initrd, and the next boot loses it; then the initrd is rebuilt.
//
// Run `make test-boot`, which takes minutes and is not part of `make test`.
package boot

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	first  = "livepatch_1_2_36"
	second = "livepatch_2_2_36"
)

// verdict is what klp-audit says about the initrd.
type verdict struct {
	Patch   string  `json:"patch"`
	Verdict string  `json:"verdict"`
	Basis   *string `json:"basis"`
	Reason  *string `json:"reason"`
}

func contained(patch, basis string) verdict { return verdict{patch, "contained", &basis, nil} }
func missing(patch, basis string) verdict   { return verdict{patch, "missing", &basis, nil} }
func unknown(patch, reason string) verdict  { return verdict{patch, "unknown", nil, &reason} }

// load is a live patch that was loaded in a boot.
type load struct {
	Patch  string `json:"patch"`
	Phase  string `json:"phase"`
	Result string `json:"result"`
}

func TestBoot(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("booting a machine needs root and minutes: run `make test-boot`")
	}
	template := buildMachine(t)
	t.Run("good", func(t *testing.T) { good(template.copy(t)) })
	t.Run("stale", func(t *testing.T) { stale(template.copy(t)) })
}

func good(m *machine) {
	m.boot("look:up")
	m.wantInitrd("up", contained(first, "boot"), contained(first, "boot"))
	m.wantLoads("up", load{first, "initrd", "complete"})
	m.wantPackage("up", first, "1-2.36")
	// The service observed from inside its sandbox.
	m.wantObserved(contained(first, "boot"))
	m.wantJournal(contained(first, "boot"))
}

func stale(m *machine) {
	m.boot("update,look:updated")
	// The journal proves nothing. The image does.
	m.wantInitrd("updated", missing(second, "image"), unknown(second, "no-build-evidence"))
	m.wantLoads("updated", load{first, "initrd", "complete"}, load{second, "system", "complete"})
	m.wantPackage("updated", second, "2-2.36")
	m.wantJournal(unknown(second, "no-build-evidence"))

	// The next boot falls back to the first patch, and a rebuild repairs that.
	m.boot("look:lost,load,rebuild,look:rebuilt")
	m.wantInitrd("lost", contained(first, "boot"), contained(first, "boot"))
	m.wantLoads("lost", load{first, "initrd", "complete"})
	// By default dracut does not log the end of its build; klp-audit's dracut module does.
	m.wantInitrd("rebuilt", contained(second, "build"), contained(second, "build"))
	m.wantObserved(contained(first, "boot"), contained(first, "boot"))

	m.useRebuiltInitrd()
	m.boot("look:kept")
	m.wantInitrd("kept", contained(second, "boot"), contained(second, "boot"))
	m.wantLoads("kept", load{second, "initrd", "complete"})
	m.wantJournal(contained(second, "boot"))
}

// wantInitrd compares what klp-audit said about the initrd, from the whole machine and from its
// journal alone.
func (m *machine) wantInitrd(look string, byMachine, byJournal verdict) {
	m.Helper()
	var got struct{ machine, journal verdict }
	m.read(look+"/initrd.json", &got.machine)
	m.read(look+"/journal.json", &got.journal)
	m.Logf("%s:\n%s", look, m.text(look+"/initrd.txt"))
	m.compare(look+", the machine", byMachine, got.machine)
	m.compare(look+", its journal", byJournal, got.journal)
}

// wantLoads compares what was loaded in the boot of a look, and what the kernel itself shows.
func (m *machine) wantLoads(look string, want ...load) {
	m.Helper()
	var got struct {
		Boots []struct{ Loads []load }
	}
	m.read(look+"/boots.json", &got)
	if len(got.Boots) == 0 {
		m.Fatalf("%s: no boots", look)
	}
	m.compare(look, want, got.Boots[len(got.Boots)-1].Loads)
	m.compare(look+", /proc/version", want[len(want)-1].Patch+"\n", m.text(look+"/version"))
}

// wantPackage compares the active patch and where rpm says that it came from.
func (m *machine) wantPackage(look, module, version string) {
	m.Helper()
	type livePatch struct{ Module, Package, Version string }
	var got struct {
		Machine struct {
			LivePatch livePatch `json:"live_patch"`
		}
	}
	m.read(look+"/status.json", &got)
	m.Logf("%s:\n%s", look, m.text(look+"/status.txt"))
	pkg := "kernel-livepatch-" + strings.ReplaceAll(m.release, ".", "_")
	m.compare(look, livePatch{module, pkg, version}, got.Machine.LivePatch)
}

// wantObserved compares what the service recorded at each boot so far.
func (m *machine) wantObserved(want ...verdict) {
	m.Helper()
	db := filepath.Join(m.dump("/var/lib/klp-audit"), "klp-audit.db")
	out, err := exec.Command("sqlite3", "-readonly", db, `SELECT body -> '$.observation.initrd'
		FROM events WHERE body ->> '$.observation.trigger' = 'boot' ORDER BY seq`).Output()
	if err != nil {
		m.Fatalf("reading %q: %v", db, err)
	}
	var got []verdict
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var v verdict
		if err := dec.Decode(&v); err != nil {
			m.Fatal(err)
		}
		got = append(got, v)
	}
	m.compare("observed", want, got)
}

// wantJournal compares what follows from a copy of the machine's journal elsewhere.
func (m *machine) wantJournal(want verdict) {
	m.Helper()
	cmd := exec.Command("../../build/klp-audit", "initrd", "--journal", m.dump("/var/log/journal"), "--format", "json")
	out, err := cmd.Output()
	if err != nil {
		m.Fatalf("%s: %v", cmd, err)
	}
	var got verdict
	if err := json.Unmarshal(out, &got); err != nil {
		m.Fatal(err)
	}
	m.compare("a copy of the journal", want, got)
}

func (m *machine) compare(what string, want, got any) {
	m.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		m.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
