package faults

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

const sector = 512 // bytes that a disk writes at once

// The power fails after each write of a commit. What was not synced may be on the disk in part: for
// a file, any of the sectors written since; for a folder, the first of the changes since. Whatever
// is there, the next writer can open it, verify finds it intact, and it has the events whose frames
// were acknowledged.
//
// strace shows what the plugin wrote and when it synced; from that, the possible states of the disk
// are made.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	t.Run("first commit", func(t *testing.T) {
		t.Parallel()
		newMachine(t).cutCommit(0)
	})
	t.Run("next commit", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t)
		m.commit("first", around{})
		m.cutCommit(1)
	})
	t.Run("into the spool", func(t *testing.T) {
		t.Parallel()
		m := newMachine(t)
		m.commit("first", around{})
		m.sqlite3("PRAGMA user_version = 99")
		m.cutCommit(1)
	})
}

// cutCommit runs a commit, cuts the power after each call of its plugin, more than once if there
// are few, and then checks the record. ended is how many commits ended before.
func (m *machine) cutCommit(ended int) {
	m.Helper()
	start := readDisk(m.T, m.root+stateDir)
	m.commit("cut", around{before: []string{"/usr/bin/strace", "-f", "-y", "-xx", "-s", "1048576", "--seccomp-bpf", "-o", "/trace",
		"-e", "trace=openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,mkdirat"}})
	text, err := os.ReadFile(m.root + "/trace")
	m.check(err)
	rnd, trace, acked := rand.New(rand.NewPCG(seed, 0)), calls(string(text)), 0
	places := len(trace) + 1
	for n := range (150/places + 1) * places {
		d := start.copy()
		acked = 0
		for _, c := range trace[:n%places] {
			acked += d.apply(c)
		}
		root := m.TempDir()
		d.cut(rnd, root)
		m.looksRight(root, acked, ended)
		m.check(os.RemoveAll(root))
	}
	m.Logf("the power was cut at %d places", places)
	if acked != 5 {
		m.Errorf("%d acknowledged frames at the end, want 5", acked)
	}
}

// looksRight opens the record as the next writer does, and compares it with the number of
// acknowledged frames.
func (m *machine) looksRight(root string, acked, ended int) {
	m.Helper()
	if _, err := os.Stat(store.Path(root)); err == nil && ended > 0 {
		db, err := sql.Open("sqlite3", store.Path(root))
		m.check(err)
		_, err = db.Exec(fmt.Sprintf("PRAGMA user_version = %d", store.Schema)) // if it was another one
		m.check(errors.Join(err, db.Close()))
	}
	s, err := store.Open(m.Context(), root, "devel")
	m.check(err)
	defer s.Close()
	m.check(s.TakeIn(m.Context()))
	v, err := s.Verify(m.Context(), "")
	m.check(err)
	if v.Result != proof.Intact {
		m.Errorf("after %d acknowledged frames: %s %q", acked, v.Result, v.Problems)
	}
	var out bytes.Buffer
	m.check(s.Export(m.Context(), &out, 0))
	begins, ends := strings.Count(out.String(), `"userdata":"cut"`), strings.Count(out.String(), `"commit-end"`)
	if acked >= 2 && begins != 1 || acked >= 3 && ends != ended+1 {
		m.Errorf("after %d acknowledged frames: %d begins, %d ends", acked, begins, ends)
	}
}

// call is a system call that succeeded.
type call struct {
	name string
	args []string
}

var (
	callLine = regexp.MustCompile(`^(\d+) +(.*)$`)
	callText = regexp.MustCompile(`^(\w+)\((.*)\) += \d`)
)

// calls reads what strace wrote about the state folder, and about answers. An interrupted call
// counts where it ended.
func calls(trace string) (list []call) {
	open := map[string]string{}
	for line := range strings.Lines(trace) {
		m := callLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		pid, text := m[1], m[2]
		if begin, ok := strings.CutSuffix(text, " <unfinished ...>"); ok {
			open[pid] = begin
			continue
		}
		if _, rest, ok := strings.Cut(text, " resumed>"); ok && strings.HasPrefix(text, "<... ") {
			text = open[pid] + rest
		}
		if found := callText.FindStringSubmatch(text); found != nil {
			if c := (call{found[1], strings.Split(found[2], ", ")}); c.matters() {
				list = append(list, c)
			}
		}
	}
	return list
}

// plain is an argument of a call without quotes and escapes; for a file descriptor, the path.
func (c call) plain(i int) string {
	arg := c.args[i]
	if _, path, ok := strings.Cut(arg, "<"); ok {
		path, _, _ = strings.Cut(path, ">")
		arg = `"` + path + `"`
	}
	if text, err := strconv.Unquote(arg); err == nil {
		return text
	}
	return arg
}

// path is an argument of a call that names a file, either alone or relative to the folder before
// it.
func (c call) path(i int) string {
	name := c.plain(i)
	if i == 0 || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.plain(i-1), name)
}

// matters says whether a call answers libzypp, or may change the state folder.
func (c call) matters() bool {
	for i := range c.args {
		if text := c.plain(i); strings.HasPrefix(text, stateDir) || strings.HasPrefix(text, answered) {
			return true
		}
	}
	return false
}

// answered is how an answer begins; its last byte is a separate call.
const answered = "ACK\n"

func (c call) number(i int) int {
	n, _ := strconv.Atoi(c.args[i])
	return n
}

// disk is the state folder on a disk, and what is on its way to it. Names are paths.
type disk struct {
	durable, now map[string]*file
	pending      []change
}

// change is a change of a folder.
type change struct {
	dir string
	do  func(names map[string]*file)
}

// file is what was synced of a file, and everything that was written. For a folder, nothing.
type file struct{ durable, now []byte }

func readDisk(t *testing.T, dir string) *disk {
	t.Helper()
	d := &disk{durable: map[string]*file{stateDir: {}}}
	paths, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d.durable[stateDir+"/"+filepath.Base(path)] = &file{durable: text, now: text}
	}
	return d
}

func (d *disk) copy() *disk {
	n := &disk{durable: map[string]*file{}}
	for name, f := range d.durable {
		n.durable[name] = &file{slices.Clone(f.durable), slices.Clone(f.now)}
	}
	n.now = maps.Clone(n.durable)
	return n
}

// apply does what a call did, and returns whether it acknowledged a frame.
func (d *disk) apply(c call) (acked int) {
	at := strings.Count(c.name, "at") // a folder's descriptor precedes each path
	switch c.name {
	case "openat", "mkdirat":
		if path := c.path(1); d.now[path] == nil && (c.name == "mkdirat" || strings.Contains(c.args[2], "O_CREAT")) {
			f := &file{}
			d.change(path, func(names map[string]*file) { names[path] = f })
		}
	case "unlink", "unlinkat":
		path := c.path(at)
		d.change(path, func(names map[string]*file) { delete(names, path) })
	case "rename", "renameat", "renameat2":
		from, to := c.path(at), c.path(1+2*at)
		d.change(from, func(names map[string]*file) { names[to] = names[from]; delete(names, from) })
	case "write":
		if strings.HasPrefix(c.plain(1), answered) {
			return 1
		}
		if f := d.now[c.plain(0)]; f != nil {
			f.write(c.plain(1), len(f.now)) // Go always writes a file from its start
		}
	case "pwrite64":
		if f := d.now[c.plain(0)]; f != nil {
			f.write(c.plain(1), c.number(3))
		}
	case "ftruncate":
		if f := d.now[c.plain(0)]; f != nil {
			f.write("", c.number(1))
			f.now = f.now[:c.number(1)]
		}
	case "fsync", "fdatasync":
		d.sync(c.plain(0))
	}
	return 0
}

func (d *disk) change(path string, do func(map[string]*file)) {
	if strings.HasPrefix(path, stateDir+"/") {
		do(d.now)
		d.pending = append(d.pending, change{filepath.Dir(path), do})
	}
}

func (d *disk) sync(path string) {
	if f := d.now[path]; f != nil {
		f.durable = slices.Clone(f.now)
	}
	d.pending = slices.DeleteFunc(d.pending, func(c change) bool {
		if c.dir == path {
			c.do(d.durable)
		}
		return c.dir == path
	})
}

func (f *file) write(text string, at int) {
	f.now = append(f.now, make([]byte, max(0, at+len(text)-len(f.now)))...)
	copy(f.now[at:], text)
}

// cut writes below root what may be on the disk after a power cut.
func (d *disk) cut(rnd *rand.Rand, root string) {
	names := maps.Clone(d.durable)
	for _, c := range d.pending[:rnd.IntN(len(d.pending)+1)] {
		c.do(names)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		switch dir := filepath.Dir(name); {
		case names[name] == nil || names[dir] == nil && name != stateDir: // its folder is gone
		case filepath.Ext(name) == "" && filepath.Base(name) != "key":
			os.MkdirAll(root+name, 0o750)
		default:
			os.WriteFile(root+name, names[name].torn(rnd), 0o600)
		}
	}
}

// torn is the file with some of the sectors that were written since the last sync.
func (f *file) torn(rnd *rand.Rand) []byte {
	var size int
	if size = len(f.durable); rnd.IntN(2) == 0 {
		size = len(f.now)
	}
	text := append(slices.Clone(f.durable), make([]byte, max(0, size-len(f.durable)))...)[:size]
	share := rnd.IntN(4) // none, some, all but some, or all
	for at := 0; at < min(size, len(f.now)); at += sector {
		if end := min(at+sector, size, len(f.now)); rnd.IntN(3) < share {
			copy(text[at:end], f.now[at:end])
		}
	}
	return text
}
