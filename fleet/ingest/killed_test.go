package ingest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/pgtest"
	"github.com/klp-audit/klp-audit/record/proof/prooftest"
)

// killing is a collector whose parts are killed: the program that takes files in, and its database.
type killing struct {
	*testing.T
	*rand.Rand
	program string
	server  *pgtest.Server
	took    time.Duration // what taking in the files of a trial took
	printed int           // files that the program said it had
	cut     int           // trials in which it had said so of some files, and not of all
}

// incoming is a folder of files from several hosts.
type incoming struct {
	dir   string
	logs  map[*prooftest.Log]string // their first keys
	files map[string]sentFile
}

// sentFile is what a file holds.
type sentFile struct {
	log  *prooftest.Log
	size int64
}

// The program that takes files in is killed at a random moment, or the database's server: each file
// of which it has said that it is stored is there, whole and once; nothing is there in part; and
// taking in the same files again completes the rest.
func TestKilled(t *testing.T) {
	k := &killing{T: t, Rand: rand.New(rand.NewPCG(seed(t), 1)), program: built(t), server: pgtest.Start(t)}
	_, _, err := pg.Migrate(t.Context(), k.server.DSN())
	check(t, err)
	n := trials(t, 6, 20)
	began := time.Now()
	k.ingest(k.arrives(), nil)
	k.took = time.Since(began)
	for i := 0; i < n || k.cut == 0 && i < 10*n; i++ { // few of them hit on a busy machine
		in := k.arrives()
		kill := (*killing).killProgram
		if i%2 == 1 {
			kill = (*killing).killServer
		}
		said := k.ingest(in, kill)
		k.holds(in, said)
		if again := k.ingest(in, nil); len(again) != len(in.files) {
			t.Errorf("%d of %d files are there after the second time", len(again), len(in.files))
		}
		k.complete(in)
		check(t, os.RemoveAll(in.dir))
		if t.Failed() {
			t.Fatalf("trial %d, seed %d", i, seed(t))
		}
	}
	t.Logf("%d trials or more: %d files were there before, %d trials were cut in the middle", n, k.printed, k.cut)
	if k.cut == 0 {
		t.Error("nothing was killed while it was at work")
	}
}

// built is the program klp-audit-fleet.
func built(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "klp-audit-fleet")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/klp-audit-fleet").CombinedOutput()
	if err != nil {
		t.Fatalf("building klp-audit-fleet: %v\n%s", err, out)
	}
	return path
}

// arrives makes up hosts, and puts what they send into a folder, in any order.
func (k *killing) arrives() *incoming {
	in := &incoming{dir: k.TempDir(), logs: map[*prooftest.Log]string{}, files: map[string]sentFile{}}
	for range 3 + k.IntN(5) {
		h := newHost(k.T, k.Rand)
		g := h.log(h.life(1 + k.IntN(20)))
		in.logs[g] = h.first.Verifier
		since := int64(0)
		for range 1 + k.IntN(5) {
			name := filepath.Join(in.dir, fmt.Sprintf("%08x.jsonl", k.Uint32()))
			check(k.T, os.WriteFile(name, h.packed(g.Export(since)), 0o600))
			in.files[name] = sentFile{g, g.Size()}
			since = g.Size()
			for _, add := range h.several(1 + k.IntN(20)) {
				add(g)
			}
		}
		name := filepath.Join(in.dir, fmt.Sprintf("%08x.jsonl", k.Uint32()))
		check(k.T, os.WriteFile(name, h.packed(g.Export(0)), 0o600))
		in.files[name] = sentFile{g, g.Size()}
	}
	return in
}

// ingest takes the folder in, kills something meanwhile, and returns the files of which the program
// says that they are there.
func (k *killing) ingest(in *incoming, kill func(*killing, *exec.Cmd)) (said []string) {
	k.Helper()
	cmd := exec.Command(k.program, "ingest", "--db", k.server.DSN(), in.dir)
	out, err := cmd.StdoutPipe()
	check(k.T, err)
	check(k.T, cmd.Start())
	line, done := make(chan string, len(in.files)), make(chan []string)
	go func() {
		files := there(out, line)
		cmd.Wait()
		done <- files
	}()
	if kill != nil {
		k.moment(in, line)
		kill(k, cmd)
	}
	return <-done
}

// there are the files that lines say are there. A line without an end says nothing.
func there(out io.Reader, line chan<- string) (files []string) {
	defer close(line)
	for in := bufio.NewReader(out); ; {
		text, err := in.ReadString('\n')
		if err != nil {
			return files
		}
		file, rest, _ := strings.Cut(text, ": ")
		outcome, _, _ := strings.Cut(rest, ":")
		if slices.Contains([]string{"stored", "known", "behind"}, outcome) {
			files = append(files, file)
			line <- file
		}
	}
}

// moment waits for some moment of a run: any, or one shortly after the program has said something.
func (k *killing) moment(in *incoming, line <-chan string) {
	until := k.took
	if k.IntN(2) == 0 {
		for range 1 + k.IntN(len(in.files)) {
			<-line // closed at the end
		}
		until = 20 * time.Millisecond
	}
	<-time.After(time.Duration(k.Int64N(int64(until))))
}

func (k *killing) killProgram(cmd *exec.Cmd) { cmd.Process.Kill() }

func (k *killing) killServer(*exec.Cmd) {
	k.server.Kill()
	k.server.Restart()
}

// holds demands that the collector has what the program said it has, and nothing in part.
func (k *killing) holds(in *incoming, said []string) {
	k.Helper()
	k.printed += len(said)
	if len(said) > 0 && len(said) < len(in.files) {
		k.cut++
	}
	atLeast := map[*prooftest.Log]int64{}
	for _, file := range said {
		f, ok := in.files[file]
		if !ok {
			k.Errorf("a line about %q", file)
			continue
		}
		atLeast[f.log] = max(atLeast[f.log], f.size)
	}
	for g, key := range in.logs {
		if size := k.kept(g, key); size < atLeast[g] {
			k.Errorf("%d events were acknowledged, %d are there", atLeast[g], size)
		}
	}
}

// complete demands that the collector has all events of all hosts.
func (k *killing) complete(in *incoming) {
	k.Helper()
	for g, key := range in.logs {
		if size := k.kept(g, key); size != g.Size() {
			k.Errorf("%d of %d events are there", size, g.Size())
		}
	}
}

// kept returns how many events of a log are there, and demands that they are the first of that log,
// each once.
func (k *killing) kept(g *prooftest.Log, key string) int64 {
	k.Helper()
	db, err := pg.Open(k.Context(), k.server.DSN())
	check(k.T, err)
	defer db.Close()
	l, err := db.ByKey(k.Context(), key)
	if errors.Is(err, pg.ErrNoLog) || err == nil && l.Current().Size == 0 {
		return 0
	}
	check(k.T, err)
	if len(l.Branches) > 1 {
		k.Errorf("branches %+v", l.Branches)
	}
	v, err := keep.Verify(k.Context(), db, l, 0, "")
	check(k.T, err)
	if v.Result != "intact" {
		k.Errorf("%+v", v)
	}
	var b bytes.Buffer
	check(k.T, keep.Export(k.Context(), db, l, 0, &b))
	given, all := lines(b.Bytes()), lines(g.Export(0))
	for seq, line := range given {
		if has := all[seq]; line != has && !strings.HasPrefix(line, strings.TrimSuffix(has, "}\n")) {
			k.Errorf("event %d is\n%.200s\nit was\n%.200s", seq, line, has)
		}
	}
	return int64(len(given))
}
