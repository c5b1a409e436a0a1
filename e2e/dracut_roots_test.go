package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/internal/observe"
	"github.com/klp-audit/klp-audit/record"
)

const (
	patchModule = "livepatch_2_150600_13_6_1"
	systemImage = "/boot/initrd-" + patched
	snapshotDir = "/.snapshots/8/snapshot"
)

// TestDracutElsewhere builds images for the system, in a snapshot of it, and for another root,
// shortly after each other, at each log level of dracut, and with the module's entry missing or
// late. klp-audit must report what the system's image really contains, or unknown.
func TestDracutElsewhere(t *testing.T) {
	bin, kernels := forDracut(t)
	for _, suite := range []string{"bullseye", "bookworm", "trixie"} {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			d := &dracuts{kit: &kit{bin: bin, repo: t.TempDir()}, tree: dracutTree(t, suite), kernels: kernels}
			for _, level := range []string{"0", "4", "5"} {
				t.Run("log level "+level, func(t *testing.T) { newTwoRoots(t, d, level).tell() })
			}
		})
	}
}

// quick makes dracut build very little, at a log level.
const quick = `sysloglvl=%s
stdloglvl=2
hostonly=no
hostonly_cmdline=no
dracutmodules="kernel-livepatch zz-klp-audit"
compress=cat
do_strip=no
do_hardlink=no
early_microcode=no
drivers="lab"
`

// twoRoots is a system with a snapshot, which has no live patch, and shares the journal.
type twoRoots struct {
	*lab
	snapshot *lab
	kernels  string
	// byEntries counts the verdicts for which the image was not read. On a busy machine an entry
	// may be late.
	byEntries int
}

func newTwoRoots(t *testing.T, d *dracuts, level string) *twoRoots {
	t.Helper()
	r := &twoRoots{lab: d.lab(t), snapshot: d.lab(t), kernels: d.kernels}
	for _, l := range []*lab{r.lab, r.snapshot} {
		l.write("/etc/dracut.conf.d/lab.conf", fmt.Sprintf(quick, level))
		l.write("/usr/bin/systemctl", "#!/bin/sh\n") // journald's socket is active
		l.write(standIn, `check() { return 0; }
install() {
    local f
    for f in "${dracutsysrootdir-}"/lib/modules/"$kernel"/livepatch/*.ko; do
        [[ -e $f ]] && inst_simple "${f#"${dracutsysrootdir-}"}"
    done
    : > "$initdir/init"
}
`)
	}
	r.startJournal()
	execute(t, "rm", "-rf", r.root+"/var/log/journal")
	execute(t, "ln", "-s", "../../run/log/journal", r.root+"/var/log/journal")
	r.snapshot.mount(r.root+"/run", r.snapshot.root+"/run", "", syscall.MS_BIND, "")
	r.mount(r.snapshot.root, r.root+snapshotDir, "", syscall.MS_BIND|syscall.MS_REC, "")
	r.withoutPatch(r.snapshot)
	return r
}

func (r *twoRoots) tell() {
	build := []string{"/usr/bin/dracut", "--force", "--kver", patched, systemImage}
	r.must(build[0], build[1:]...)
	r.want("built")
	r.must("/usr/sbin/chroot", append([]string{snapshotDir}, build...)...)
	r.want("built in the snapshot, too")
	r.must(build[0], "--force", "--sysroot", snapshotDir, "--kver", patched, snapshotDir+systemImage)
	r.want("built for the snapshot, too")
	r.withoutPatch(r.lab)
	r.must(build[0], append([]string{"--modules", "kernel-livepatch"}, build[1:]...)...)
	r.want("built again, with no entry")
	r.must(build[0], build[1:]...)
	r.want("built again")
	r.hold(func() { r.must(build[0], build[1:]...) })
	r.want("built again, with entries that came late")
	r.withPatch()
	r.must("/bin/sh", "-c", "cp "+systemImage+" /tmp/i && dracut --force --kver "+patched+" "+systemImage+" && cat /tmp/i > "+systemImage)
	r.wantLive("built, and the older image put back")
	if r.byEntries == 0 {
		r.t.Error("the module's entries never decided")
	}
}

// hold keeps journald from receiving anything for a while.
func (r *twoRoots) hold(while func()) {
	r.t.Helper()
	pid := strings.TrimSpace(r.must("/bin/sh", "-c", "for p in /proc/[0-9]*; do [ $p/root -ef / ] && [ \"$(cat $p/comm)\" = systemd-journal ] && echo ${p#/proc/}; done; true"))
	n, err := strconv.Atoi(pid)
	if err != nil || syscall.Kill(n, syscall.SIGSTOP) != nil {
		r.t.Fatalf("journald is %q", pid)
	}
	defer syscall.Kill(n, syscall.SIGCONT)
	while()
}

const patchPath = "/lib/modules/" + patched + "/livepatch/" + patchFile

func (r *twoRoots) withoutPatch(l *lab) { execute(l.t, "rm", l.root+patchPath) }

func (r *twoRoots) withPatch() {
	r.install(filepath.Join(r.kernels, patched, "livepatch", patchFile), patchPath)
}

// want compares what klp-audit says about the system's image with what the image contains.
func (r *twoRoots) want(what string) {
	r.t.Helper()
	truth := r.wantLive(what)
	v, err := observe.JudgeJournal(r.t.Context(), observe.JournalQuestion{Dir: r.root + "/var/log/journal", Kernel: patched, Patch: patchModule})
	if err != nil || v.Verdict != truth && v.Verdict != record.VerdictUnknown {
		r.t.Errorf("%s: by the journal %s %s, want %s or unknown: %v\n%+v", what, v.Verdict, v.Basis, truth, err, v.Evidence)
	}
}

func (r *twoRoots) wantLive(what string) (truth record.Verdict) {
	r.t.Helper()
	r.must("/bin/journalctl", "--sync")
	img, err := initrd.Read(r.t.Context(), r.root+systemImage)
	if err != nil {
		r.t.Fatal(err)
	}
	truth = record.VerdictMissing
	if slices.ContainsFunc(img.Modules, func(m initrd.Module) bool { return m.Name == patchModule }) {
		truth = record.VerdictContained
	}
	v, err := observe.JudgeMachine(r.t.Context(), r.root, observe.MachineQuestion{Kernel: patched, Patch: patchModule})
	if err != nil || v.Verdict != truth {
		r.t.Errorf("%s: on the machine %s %s %s, want %s: %v\n%+v", what, v.Verdict, v.Basis, v.Reason, truth, err, v.Evidence)
	}
	if v.Basis == record.BasisBuild {
		r.byEntries++
	}
	return truth
}
