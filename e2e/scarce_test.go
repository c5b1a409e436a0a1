package e2e

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestScarce demands that zypper succeeds with the plugin wherever it succeeds without: if tasks
// are scarce, and if memory is.
func TestScarce(t *testing.T) {
	if os.Getenv(wanted) != "1" {
		t.Skip("the end-to-end tests need root and the real zypper: run `make test`")
	}
	kit := newKit(t)
	for _, b := range []*base{newBase(t, kit, "/"), newBase(t, kit, debianTree(t, "trixie", "trixie", "zypper,rpm"))} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			s := scarcity{plain: b, audited: b.withPlugin(t)}
			limits := []int{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24} // zypper and the plugin need 11 at a time
			if testing.Short() {
				limits = []int{6, 8, 10, 11, 14}
			}
			for _, tasks := range limits {
				t.Run(fmt.Sprintf("%d tasks", tasks), func(t *testing.T) { s.compare(t, "pids", "pids.max", tasks) })
			}
			t.Run("16 MiB", func(t *testing.T) { s.compare(t, "memory", "memory.max", 16<<20) })
		})
	}
}

// scarcity is a system without the plugin, and the same with it.
type scarcity struct{ plain, audited *base }

// commits are what zypper is to install: something that is recorded, and something that is not.
var commits = [][]string{{"kernel-default", livepatch}, {"lab-tool"}}

// compare runs each commit under a limit, three times with the plugin and three times without.
func (s scarcity) compare(t *testing.T, controller, limit string, value int) {
	const times = 3
	for _, commit := range commits {
		without, with := tries{}, tries{}
		for range times {
			without.add(s.plain.commit(t, controller, limit, value, commit))
		}
		for range times {
			with.add(s.audited.commit(t, controller, limit, value, commit))
		}
		t.Logf("zypper %q: %d of %d succeed without the plugin, %d with it", commit, without.succeeded, times, with.succeeded)
		if with.succeeded < without.succeeded {
			t.Errorf("zypper %q: %d of %d succeed without the plugin, %d with it:\n%s", commit, without.succeeded, times, with.succeeded, with.failure)
		}
	}
}

// tries counts the results.
type tries struct {
	succeeded int
	failure   string // the last one
}

func (n *tries) add(failure string) {
	if failure == "" {
		n.succeeded++
		return
	}
	n.failure = failure
}

// commit runs zypper in a fresh lab under a limit. It returns how it failed, if it did.
func (b *base) commit(t *testing.T, controller, limit string, value int, packages []string) (failure string) {
	t.Helper()
	group := newCgroup(t, controller)
	group.set(limit, strconv.Itoa(value))
	l := newLab(t, b)
	got := l.start(group.enter(l.zypper(append([]string{"in"}, packages...)...))).wait()
	there := l.run("/usr/bin/rpm", append([]string{"-q"}, packages...)...)
	if got.exit != 0 || there.exit != 0 {
		return fmt.Sprintf("exit %d\n%s%s", got.exit, got.out, there.out)
	}
	return ""
}

// withPlugin is the system with the plugin installed.
func (b *base) withPlugin(t *testing.T) *base {
	t.Helper()
	audited := *b
	audited.root, audited.layer = b.layer+"/upper:"+b.root, memory(t)
	l := mountLab(t, b.kit, audited.root, audited.layer)
	b.kit.installPlugin(l)
	l.unmount()
	return &audited
}
