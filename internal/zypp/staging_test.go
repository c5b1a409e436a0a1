package zypp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/record"
)

// environment returns a lookup in KEY=value pairs.
func environment(pairs ...string) func(string) string {
	return func(key string) string {
		for _, pair := range pairs {
			if value, found := strings.CutPrefix(pair, key+"="); found {
				return value
			}
		}
		return ""
	}
}

func staging(snapshot, root string, chroot bool) *record.Staging {
	return &record.Staging{Snapshot: snapshot, Root: root, Chroot: chroot}
}

func TestDetectStaging(t *testing.T) {
	const on, snapshot = "TRANSACTIONAL_UPDATE=true", "TRANSACTIONAL_UPDATE_ROOT=/.snapshots/42/snapshot"
	const dir = "/tmp/transactional-update-Ab12"
	tests := []struct {
		name     string
		env      []string
		argv     string
		hostRoot bool
		want     *record.Staging
	}{
		{"no transactional-update", []string{snapshot}, "zypper -R " + dir + " up", true, nil},
		{"switched off", []string{"TRANSACTIONAL_UPDATE=0", snapshot}, "zypper up", true, nil},
		{"callext -R", []string{on, snapshot}, "zypper -R " + dir + " up", true, staging("42", dir, false)},
		{"callext --root", []string{on, snapshot}, "zypper --root " + dir + " migration", true, staging("42", dir, false)},
		{"callext --installroot=", []string{"TRANSACTIONAL_UPDATE=1", snapshot}, "zypper --installroot=" + dir + " up", true, staging("42", dir, false)},
		{"call, in its chroot", []string{on, snapshot}, "zypper -n up", false, staging("42", "/", true)},
		{"chroot with an explicit root", []string{on, snapshot}, "zypper --root=/ up", false, staging("42", "/", true)},
		{"unknown snapshot", []string{on, "TRANSACTIONAL_UPDATE_ROOT=/.snapshots/../x"}, "zypper up", false, staging("", "/", true)},
		{"root only in the environment", []string{on, snapshot}, "other", true, staging("42", "/.snapshots/42/snapshot", false)},
		{"option without value", []string{on, snapshot}, "zypper -R", false, staging("42", "/", true)},
		{"no option after --", []string{on, snapshot}, "zypper in -- --root=x", false, staging("42", "/", true)},
		{"nothing but the switch", []string{on}, "zypper up", true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := DetectStaging(environment(test.env...), strings.Fields(test.argv), func() bool { return test.hostRoot })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInHostRoot(t *testing.T) {
	if InHostRoot(t.TempDir()) {
		t.Error("InHostRoot is true although process 1 cannot be seen")
	}
}
