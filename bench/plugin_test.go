package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rpm/rpmtest"
)

// plugin measures one run of the plugin in a commit of libzypp.
func (b *bench) plugin() {
	cat := func(f frames) *entrant { return b.session("/bin/cat", f, "/bin/cat") }
	small := b.commit("commit without a tracked package", 20, 2.4, cat)
	if !b.smoke && b.has("a plugin in Python", python) {
		b.commit("commit without a tracked package", 20, 0, func(f frames) *entrant {
			return b.session("a plugin in Python", f, python, filepath.Join(b.tree, "bench/testdata/plugin.py"))
		})
	}
	large := b.commit("commit without a tracked package", 5000, 1.3, cat)
	if grown := large - small; b.smoke && grown > 10<<20 {
		b.Errorf("5,000 steps take %d MiB more memory than 20", grown>>20)
	}
	b.kernelCommit()
}

// python is the system's Python.
const python = "/usr/bin/python3"

// commit measures a commit with some steps, none of them tracked, and returns the memory.
func (b *bench) commit(what string, steps int, asked float64, floor func(frames) *entrant) (peak int) {
	f := framesOf(stepsOf(steps)...)
	ours, against := b.audited(f, b.TempDir()), floor(f)
	b.race(b.several(ours, against)...)
	b.add(row{what: what, size: thousands(steps) + " steps", ours: ours, against: against, asked: asked})
	peak = b.rows[len(b.rows)-1].peak
	if dir := earlier(); dir != "" && asked > 0 {
		ours, against := b.audited(f, b.TempDir()), b.auditedBy(dir, "an earlier klp-audit", f, b.TempDir())
		b.race(b.several(ours, against)...)
		b.add(row{what: what, size: thousands(steps) + " steps", ours: ours, against: against})
	}
	return peak
}

// audited is a session with klp-audit's plugin, which records below root.
func (b *bench) audited(f frames, root string) *entrant {
	return b.auditedBy(filepath.Dir(b.program("klp-audit-plugin")), "klp-audit-plugin", f, root)
}

// auditedBy is audited with the programs in a folder.
func (b *bench) auditedBy(dir, name string, f frames, root string) *entrant {
	return b.session(name, f, filepath.Join(dir, "klp-audit-plugin"), "--recorder", filepath.Join(dir, "klp-audit-recorder"), "--root", root)
}

// earlier is the folder of an earlier klp-audit, which is compared in the same run.
func earlier() string { return os.Getenv("KLP_AUDIT_BENCH_EARLIER") }

// several makes each measured run consist of several runs of the plugin, which are short.
func (b *bench) several(entrants ...*entrant) []*entrant {
	const lives = 5
	for _, e := range entrants {
		once := e.run
		e.run = func() (mean sample) {
			for range lives {
				s := once()
				mean.wall, mean.cpu = mean.wall+s.wall/lives, mean.cpu+s.cpu/lives
			}
			return mean
		}
	}
	return entrants
}

// kernelCommit measures a commit of a kernel and a live patch on a system with 600 packages. The
// other programs do what the plugin must: answer, look twice at what is installed, and store two
// events durably.
func (b *bench) kernelCommit() {
	const what = "commit with a kernel and a live patch"
	if os.Geteuid() != 0 {
		fmt.Fprintf(b.out, "left out: %s: only root can\n", what)
		return
	}
	if !b.has(what, "/usr/bin/rpm", "rpmbuild", "sqlite3") {
		return
	}
	root := b.bootedSystem()
	f := framesOf(append(stepsOf(20), step("M", "kernel-default", "6.4.0", "150600.23.42.2"),
		step("+", "kernel-livepatch-6_4_0-150600_23_42-default", "4", "150600.13.12.1"))...)
	ours := b.audited(f, root)
	floor := b.session("cat, 2 x rpm -qa, 2 x sqlite3", f, "/bin/cat")
	answer, db := floor.run, filepath.Join(root, "floor.db")
	b.time(exec.Command("sqlite3", db, "CREATE TABLE events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)"))
	body := strings.Repeat("x", 4<<10)
	floor.run = func() sample {
		all := answer()
		for range 2 {
			look := exec.Command("/usr/bin/rpm", "--root", root, "-qa", "--qf", rpmFormat, "kernel*")
			look.Env = []string{"HOME=/root", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
			for _, s := range []sample{b.time(look), b.time(exec.Command("sqlite3", db, "PRAGMA synchronous = EXTRA; INSERT INTO events (body) VALUES ('"+body+"')"))} {
				all.wall, all.cpu = all.wall+s.wall, all.cpu+s.cpu
			}
		}
		return all
	}
	b.race(ours, floor)
	b.add(row{what: what, size: "22 steps", ours: ours, against: floor, asked: 1.3})
	if dir := earlier(); dir != "" {
		ours, against := b.audited(f, b.bootedSystem()), b.auditedBy(dir, "an earlier klp-audit", f, b.bootedSystem())
		b.race(ours, against)
		b.add(row{what: what, size: "22 steps", ours: ours, against: against})
	}
}

// bootedSystem is a copy of a system where a look in this boot may still be valid.
func (b *bench) bootedSystem() string {
	root := b.copyOf(b.system())
	const bootID = "proc/sys/kernel/random/boot_id"
	rpmtest.Run(b, "install", "-D", "-m", "0444", "/"+bootID, filepath.Join(root, bootID))
	return root
}

// rpmFormat queries what the plugin queries.
const rpmFormat = "%{NAME} %{ARCH} %{EPOCHNUM} %{VERSION} %{RELEASE} %{INSTALLTIME} %{INSTALLTID} %{DBINSTANCE} %{BUILDTIME} %{SOURCERPM} " +
	"%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{%|SIGGPG?{%{SIGGPG:pgpsig}}:{%|SIGPGP?{%{SIGPGP:pgpsig}}|}|}|}| %{VENDOR}\n"

// system returns the root of a file tree with an rpm database.
func (b *bench) system() string {
	return b.kept("system", func(root string) {
		newRoot(b.T, root)
		rpmtest.Rpm(b, root, append([]string{"-i"}, b.manyPackages()...)...)
		rpmtest.Rpm(b, root, "-i", rpmtest.Build(b, "kernel-default 6.4.0 150600.23.42.2", "", ""),
			rpmtest.Build(b, "kernel-livepatch-6_4_0-150600_23_42-default 4 150600.13.12.1", "", longChangelog()), rpmtest.Build(b, "dracut 59 1", "", ""))
	})
}

// manyPackages builds 597 packages, none of them tracked.
func (b *bench) manyPackages() (built []string) {
	var rest strings.Builder
	for i := range 596 {
		fmt.Fprintf(&rest, "%%package -n lib%d\nSummary: x\n%%description -n lib%d\nx\n%%files -n lib%d\n", i, i, i)
	}
	built, err := filepath.Glob(filepath.Join(filepath.Dir(rpmtest.Build(b, "base 1 1", "", rest.String())), "*.rpm"))
	b.check(err)
	return built
}

// longChangelog is the changelog of a live patch with 200 fixes.
func longChangelog() string {
	changelog := "%changelog\n"
	for i := range 200 {
		changelog += fmt.Sprintf("* Tue May 13 2025 a@example.com\n- Fix for CVE-2024-%d (bsc#12%d)\n  KLP: CVE-2024-%d\n- commit %d\n\n", 1000+i, 10000+i, 1000+i, i)
	}
	return changelog
}

// frames are the frames of a commit, in order.
type frames []string

// framesOf returns the frames of a commit as libzypp writes them (PluginFrame.cc, and
// PluginExecutor.cc for what is in them).
func framesOf(steps ...string) frames {
	list := func(stage string) string {
		done := strings.ReplaceAll(strings.Join(steps, ", "), "},\n\"type\"", "},\n"+stage+"\"type\"")
		return "{\n\"TransactionStepList\": [" + done + "]\n}"
	}
	return frames{"PLUGINBEGIN\n\n\x00", "COMMITBEGIN\n\n" + list("") + "\x00", "COMMITEND\n\n" + list("\"stage\": \"ok\",\n") + "\x00",
		"PLUGINEND\n\n\x00", "_DISCONNECT\n\n\x00"}
}

func stepsOf(n int) (steps []string) {
	for i := range n {
		steps = append(steps, step("+", fmt.Sprintf("lib%06d-devel", i), "1.2.3", "150600.1.1"))
	}
	return steps
}

func step(action, name, version, release string) string {
	return fmt.Sprintf("{\n\"solvable\": {\n\"a\": \"x86_64\",\n\"n\": %q,\n\"r\": %q,\n\"v\": %q\n},\n\"type\": %q\n}", name, release, version, action)
}

// session is an entrant that plays libzypp's side of a commit, from the plugin's start to its end.
func (b *bench) session(name string, f frames, args ...string) *entrant {
	e := &entrant{name: name}
	e.run = func() sample { s, _ := b.play(f, args); return s }
	e.peak = func() int { _, peak := b.play(f, args); return peak }
	return e
}

// play sends the frames and waits for each answer. It also returns the memory, which it reads
// before the last answer.
func (b *bench) play(f frames, args []string) (s sample, peak int) {
	b.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	in, err := cmd.StdinPipe()
	b.check(err)
	out, err := cmd.StdoutPipe()
	b.check(err)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	answers := bufio.NewReaderSize(out, 64<<10)
	start := time.Now()
	b.check(cmd.Start())
	for i, frame := range f {
		if i == len(f)-1 {
			peak = peakMemory(cmd.Process.Pid)
		}
		sent := make(chan error, 1)
		go func() { _, err := in.Write([]byte(frame)); sent <- err }()
		answer, err := answers.ReadString(0)
		if err := cmp.Or(err, <-sent); err != nil || answer != "ACK\n\n\x00" && answer != frame {
			b.Fatalf("%q: the answer to frame %d is %.80q, %v\n%s", args, i, answer, err, complaint.Bytes())
		}
	}
	in.Close()
	b.check(cmd.Wait())
	return sample{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, peak
}
