package store_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

// forger rewrites the past of a machine without its key, in one of many ways at random. did says
// what it did.
type forger struct {
	*testing.T
	random          *rand.Rand
	root            string
	private, public string // its own key
	other           string // another machine of its own, with a record and a key
	did             []string
}

func (f *forger) chance(n int, of int) bool { return f.random.IntN(of) < n }

func (f *forger) does(format string, args ...any) {
	f.did = append(f.did, fmt.Sprintf(format, args...))
}

// past makes up another past from bodies.
func (f *forger) past(b []string) []string {
	i := 1 + f.random.IntN(len(b)-1)
	switch f.random.IntN(6) {
	case 0:
		f.does("a fact of event %d", i+1)
		b[i] = strings.Replace(b[i], `"hostname":"sles"`, `"hostname":"eve"`, 1)
	case 1:
		f.does("event %d gone", i+1)
		b = append(b[:i:i], b[i+1:]...)
	case 2:
		f.does("event %d first", i+1)
		b[1], b[i] = b[i], b[1]
	case 3:
		f.does("an event more at %d", i+1)
		b = append(b[:i:i], append([]string{strings.Replace(b[i], `"id":"019`, `"id":"eve`, 1)}, b[i:]...)...)
	case 4:
		f.does("the end from %d on gone", i+1)
		b = b[:i]
	case 5:
		f.does("other people")
		for j := range b {
			b[j] = strings.ReplaceAll(b[j], `"tux"`, `"eve"`)
		}
	}
	return b
}

// story makes the log tell how another key came into it.
func (f *forger) story(b []string) []string {
	causes := []record.Cause{record.CauseKeyReplaced, record.CauseIdentityChanged, record.CauseUpgraded, record.CauseRecordLost, record.CauseProofBroken, record.CauseInstalled}
	cause := causes[f.random.IntN(len(causes))]
	switch f.random.IntN(4) {
	case 0:
		f.does("no story")
		return b
	case 1:
		f.does("%s from the first on", cause)
		b[0] = f.names(0, cause)
		return b
	case 2:
		i := f.random.IntN(len(b))
		f.does("%s at %d", cause, i+1)
		return append(b[:i:i], append([]string{f.names(90, cause)}, b[i:]...)...)
	}
	f.does("%s at the end", cause)
	return append(b, f.names(90, cause))
}

func (f *forger) names(n int, cause record.Cause) string {
	ev := &record.Event{Header: header(record.KindRecorder, n), Identity: &record.Identity{Cause: cause, Schema: store.Schema, Key: f.public}}
	if f.chance(1, 3) { // a hand-over that somebody once signed
		ev.Identity.Checkpoint = query(f.T, raw(f.T, f.root), `SELECT note FROM checkpoint`)[0]
	}
	body, err := json.Marshal(ev)
	check(f.T, err)
	return string(body)
}

// pruned makes the log say that old events were pruned, and removes their bodies when it is signed.
func (f *forger) pruned(b []string) (bodies []string, gone string) {
	through := 1 + f.random.IntN(len(b))
	f.does("pruned through %d", through)
	h := header(record.KindPrune, 91)
	h.Time = record.At(time.Now().UTC())
	head, err := json.Marshal(&record.Event{Header: h})
	check(f.T, err)
	return append(b, strings.TrimSuffix(string(head), "}")+fmt.Sprintf(`,"prune":{"horizon":"2026-11-01T00:00:00.000000Z","through":%d,"gone":1,"kept":[1]}}`, through)),
		fmt.Sprintf(`DELETE FROM events WHERE seq BETWEEN 2 AND %d`, through)
}

// forge rewrites the record.
func (f *forger) forge() {
	if f.chance(1, 10) { // another machine's, unchanged
		f.does("another machine's record")
		b, err := os.ReadFile(store.Path(f.other))
		check(f.T, err)
		check(f.T, os.WriteFile(store.Path(f.root), b, 0o640))
		return
	}
	key, after := f.private, ""
	if f.chance(1, 5) {
		f.does("signed by another machine")
		key = machinesKey(f.T, f.other)
	}
	rewritten(f.T, f.root, key, func(b []string) []string {
		if b = f.story(f.past(b)); f.chance(1, 4) {
			b, after = f.pruned(b)
		}
		return b
	})
	db := raw(f.T, f.root)
	exec(f.T, db, after)
	switch f.random.IntN(5) { // what makes the views match, or seem to
	case 0:
		f.does("views of an older version")
		exec(f.T, db, fmt.Sprintf(`PRAGMA user_version = %d`, f.random.IntN(store.Schema)))
	case 1:
		f.does("tables gone")
		exec(f.T, db, `DROP TABLE recorders; DROP TABLE totals`)
	case 2:
		f.does("views emptied")
		exec(f.T, db, `DELETE FROM recorders; DELETE FROM changes`)
	case 3:
		f.does("the old checkpoint beside")
		exec(f.T, db, `UPDATE checkpoint SET note = note || note`)
	}
	check(f.T, db.Close())
	if f.chance(1, 4) {
		f.does("public half of the key replaced")
		put(f.T, store.KeyPath(f.root)+".pub", f.public+"\n")
	}
}

// export returns the machine's export; nothing, if it refuses.
func (f *forger) export() string {
	s, err := store.OpenReadOnly(f.Context(), store.Path(f.root))
	if err != nil {
		return ""
	}
	defer s.Close()
	var b bytes.Buffer
	if s.Export(f.Context(), &b, 0) != nil {
		return ""
	}
	return b.String()
}

// mustFind demands that verifications find the forgery: on the machine, with the key that was
// noted, and in an export with that key.
func (f *forger) mustFind(when, noted string) {
	f.Helper()
	machine, err := store.MachineKey(f.root)
	if check(f.T, err); machine != noted {
		f.Fatalf("%s: %q: the machine has another key", when, f.did)
	}
	s, err := store.OpenToVerify(f.Context(), store.Path(f.root))
	if err != nil {
		f.Fatalf("%s: %q: %v", when, f.did, err)
	}
	defer s.Close()
	v, err := s.Verify(f.Context(), machine)
	if err != nil || v.Result == proof.Intact {
		f.Errorf("%s: %q: the record: %+v, %v", when, f.did, v, err)
	}
	if export := f.export(); export != "" {
		v, err := proof.VerifyExport(f.Context(), strings.NewReader(export), noted)
		if err != nil || v.Result == proof.Intact {
			f.Errorf("%s: %q: the export: %+v, %v", when, f.did, v, err)
		}
	}
}

// inMemory is a folder on a file system in memory, if there is one: disks do not matter here.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "klp-audit-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// The genuine recorder goes on after each of a thousand forgeries made without the machine's key:
// each is found before, and after a commit and an observation.
func TestThousandForgeries(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 50
	}
	template, other := sample(t), sample(t)
	write(t, template, observation(20))
	write(t, other, begin(30))
	noted := verify(t, template, "").Key
	const groups = 4
	for group := range groups {
		t.Run(fmt.Sprint(group), func(t *testing.T) {
			t.Parallel()
			private, public := strangersKey(t)
			dir := inMemory(t)
			for i := range n / groups {
				f := &forger{T: t, random: rand.New(rand.NewPCG(uint64(group), uint64(i))), root: filepath.Join(dir, fmt.Sprint(i)), private: private, public: public, other: other}
				check(t, os.CopyFS(f.root, os.DirFS(template)))
				f.forge()
				f.mustFind("before", noted)
				b := begin(100)
				write(t, f.root, b, end(101, b, record.OutcomeCompleted))
				if f.chance(1, 4) {
					f.mustFind("after a commit", noted)
				}
				write(t, f.root, observation(102))
				f.mustFind("after an observation", noted)
				check(t, os.RemoveAll(f.root))
			}
		})
	}
}
