package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/audit/compliance"
	"github.com/klp-audit/klp-audit/internal/journal/journaltest"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
	"github.com/klp-audit/klp-audit/internal/schematest"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store"
)

const livePatchE = "kernel-livepatch-6_1_0-56-amd64" // that journal E is of, in its second boot

// hostE is the file tree of the machine that journal E is of, with all that an observation looks at.
func hostE(t *testing.T) string {
	t.Helper()
	rpmtest.Need(t)
	root := t.TempDir()
	const patch = "livepatch_2_150600_2_40"
	for name, text := range map[string]string{
		"proc/sys/kernel/osrelease":                         "6.1.0-56-amd64\n",
		"proc/sys/kernel/version":                           "#1 SMP Fri Nov 1 00:00:00 UTC 2026 (b2a976e/lp)\n",
		"proc/sys/kernel/random/boot_id":                    "8823f97b-40f2-4b7c-bb47-2198aad29036\n",
		"proc/sys/kernel/tainted":                           "32768\n",
		"proc/stat":                                         "btime 4102444800\n",
		"proc/1/mountinfo":                                  "1 0 0:1 /@/.snapshots/7/snapshot / rw,relatime shared:1 - btrfs /dev/vda2 rw\n",
		"proc/7/task/7/patch_state":                         "0\n",
		"proc/7/task/7/comm":                                "sleeper\n",
		"etc/machine-id":                                    "0123456789abcdef0123456789abcdef\n",
		"etc/os-release":                                    "PRETTY_NAME=\"SUSE Linux Enterprise Server 15 SP6\"\n",
		"etc/zypp/zypp.conf":                                "[main]\n",
		"etc/zypp/locks":                                    "type: package\nsolvable_name: kernel-default\n",
		"etc/zypp/repos.d/a.repo":                           "[updates]\nenabled=1\ngpgcheck=0\n",
		"etc/products.d/lp.prod":                            "<product><name>sle-module-live-patching</name><version>15.6</version></product>",
		"run/chrony/x":                                      "",
		"var/lib/chrony/drift":                              "",
		"var/cache/zypp/raw/a/x":                            "",
		"var/log/zypp/history":                              "",
		"usr/lib/zypp/plugins/commit/klp-audit":             "program",
		"sys/kernel/livepatch/" + patch + "/enabled":        "1\n",
		"sys/kernel/livepatch/" + patch + "/transition":     "1\n",
		"sys/module/" + patch + "/srcversion":               "0123456789ABCDEF01234567\n",
		"var/lib/lifecycle/data/live-patching-15.lifecycle": livePatchE + ", *, 2099-12-31\n",
	} {
		put(t, filepath.Join(root, name), text)
	}
	check(t, os.Chmod(filepath.Join(root, "usr/lib/zypp/plugins/commit/klp-audit"), 0o757))
	check(t, os.CopyFS(filepath.Join(root, "var/log/journal"), os.DirFS(journaltest.Unpack(t, "E"))))
	rpmtest.Install(t, root, "kernel-default 6.1.0 50.1", livePatchE+" 2 150600.2.40")
	return root
}

// What an observation writes, the checks read: each part of a real one comes to a real answer.
func TestChecksReadWhatAnObservationWrites(t *testing.T) {
	root := hostE(t)
	for _, trigger := range []record.Trigger{record.TriggerBoot, record.TriggerTimer} {
		_, err := observe.Record(t.Context(), observe.Options{Root: root, Version: "1", Trigger: trigger})
		check(t, err)
	}
	now := time.Now().Add(time.Second)
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	seen, err := s.Observations(t.Context(), now, now)
	check(t, err)
	ev, err := s.Event(t.Context(), seen[len(seen)-1].Event)
	check(t, err)
	for _, name := range record.PartNames() {
		if ev.Observation.Parts[name] == nil && name != record.PartAdvisories {
			t.Errorf("%s is not known: %s", name, ev.Observation.Unknown[string(name)])
		}
	}
	schematest.Record(t, s) // what they are called is what is published
	p, err := compliance.LoadProfile(compliance.DefaultProfile, nil)
	check(t, err)
	c, err := compliance.Judge(t.Context(), s, p, now)
	check(t, err)
	if len(c.Checks) != len(compliance.CheckIDs()) {
		t.Errorf("%d checks", len(c.Checks))
	}
	for _, r := range c.Checks {
		if strings.Contains(r.Detail, "cannot be read") {
			t.Errorf("%s: %s", r.ID, r.Detail)
		}
	}
	for id, detail := range map[string]string{
		"taint":        "The kernel's taint value is 32768",
		"coverage":     "until 2099-12-31, for",
		"patch-state":  "held up by 1 task",
		"signatures":   "nothing is checked of repository updates",
		"entitlement":  "lifecycle data is not installed",
		"clock":        "(/var/lib/chrony/drift)",
		"journal":      "The journal is kept over reboots (Storage=auto)",
		"permissions":  "/usr/lib/zypp/plugins/commit/klp-audit",
		"recorder":     "cannot run /usr/lib/klp-audit/recorder", // which is not there
		"integrity":    "events intact",
		"completeness": "libzypp's history showed no other change",
	} {
		i := slices.IndexFunc(c.Checks, func(r compliance.CheckResult) bool { return r.ID == id })
		if !strings.Contains(c.Checks[i].Detail, detail) {
			t.Errorf("%s: %s: %s", id, c.Checks[i].Result, c.Checks[i].Detail)
		}
	}
	f, err := audit.NewState(t.Context(), s, ev.Time.Time)
	check(t, err)
	if f.Taint == nil || f.Locks == nil || f.Activation == nil || f.CoveredUntil == nil {
		t.Errorf("the state: taint %s, locks %s, activation %s, covered until %v, unknown %v", f.Taint, f.Locks, f.Activation, f.CoveredUntil, f.Unknown)
	}
}
