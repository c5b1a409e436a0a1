package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

var errBusy = errors.New("database is busy")

// spool puts events into the spool.
func spool(t *testing.T, root string, evs ...*record.Event) {
	t.Helper()
	for _, ev := range evs {
		check(t, store.Spool(root, ev, errBusy, false))
	}
}

// takeIn opens the record and takes the spool in.
func takeIn(t *testing.T, root string) {
	t.Helper()
	s := open(t, root)
	check(t, s.TakeIn(t.Context()))
	check(t, s.Close())
}

func wantLogged(t *testing.T, root, want string) {
	t.Helper()
	if got := strings.Join(logged(t, root), " "); got != want {
		t.Errorf("events in the log: %s, want %s", got, want)
	}
	if v := verify(t, root, ""); v.Result != proof.Intact {
		t.Errorf("record: %q", v.Problems)
	}
}

// files lists what is in a folder below root.
func files(t *testing.T, root, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, dir))
	check(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEventWaitsWhileTheDatabaseIsLocked(t *testing.T) {
	root := newRoot(t)
	s := open(t, root)
	locker := raw(t, root)
	exec(t, locker, `BEGIN EXCLUSIVE`)
	b := begin(1)
	err := s.Append(t.Context(), b)
	if err == nil {
		t.Fatal("it was appended")
	}
	check(t, store.Spool(root, b, err, false))
	if n := store.Waiting(root); n != 1 {
		t.Errorf("%d events wait", n)
	}
	exec(t, locker, `ROLLBACK`)

	check(t, s.Append(t.Context(), end(2, b, record.OutcomeCompleted)))
	wantLogged(t, root, "1 2")
	reasons := query(t, raw(t, root), `SELECT json_extract(body, '$.spooled') FROM events`)
	if want := []string{"<nil>", err.Error(), "<nil>"}; !slices.Equal(reasons, want) {
		t.Errorf("reasons %q, want %q", reasons, want)
	}
	if n := store.Waiting(root); n != 0 {
		t.Errorf("%d events wait", n)
	}
}

func TestSpoolKeepsItsOrder(t *testing.T) {
	root := newRoot(t)
	spool(t, root, begin(50))
	check(t, store.Spool(root, begin(40), errBusy, true)) // the clock was set back
	spool(t, root, begin(30), begin(60))
	check(t, store.Spool(root, begin(20), errBusy, true))
	if n := store.Waiting(root); n != 5 {
		t.Errorf("%d events wait", n)
	}
	takeIn(t, root)
	wantLogged(t, root, "50 40 30 60 20")
}

func TestUnreadableFilesAreSetAside(t *testing.T) {
	const dir = store.StateDir + "/spool"
	root := newRoot(t)
	spool(t, root, begin(1), begin(3))
	newer := begin(2)
	newer.V = record.EventVersion + 1
	spool(t, root, newer)
	odd := begin(4)
	odd.Begin.Announced = []record.Change{{Kind: "unheard-of"}}
	spool(t, root, odd)
	for name, text := range map[string]string{
		"00-empty": "", "01-garbage": "\x00\xff", "02-half": `{"v":1,"kind":"commit-begin","id":"x`, "03-array": "[]", "04-null": "null",
		"05-no-id": `{"v":1,"kind":"commit-begin"}`, "06-deep": `{"kind":"x","id":"y","a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}",
	} {
		put(t, filepath.Join(root, dir, name+".event"), text)
	}
	put(t, filepath.Join(root, dir, "other"), "not ours")
	check(t, os.Mkdir(filepath.Join(root, dir, "folder.event"), 0o700))
	takeIn(t, root)
	wantLogged(t, root, "1 3")

	var aside, waiting []string
	for _, name := range files(t, root, dir) {
		if base, ok := strings.CutSuffix(name, ".event.unreadable"); ok {
			aside = append(aside, base[:2])
		} else {
			waiting = append(waiting, name)
		}
	}
	if got := strings.Join(aside, " "); got != "00 00 01 02 03 04 05 06" {
		t.Errorf("set aside: %s", got)
	}
	if len(waiting) != 3 || !strings.Contains(waiting[0], newer.ID) {
		t.Errorf("left: %q, want the event of a newer version, the other file and the folder", waiting)
	}
	if n := store.Waiting(root); n != 1 {
		t.Errorf("%d events wait", n)
	}
}

func TestEventThatIsInTheLogIsNotTakenInAgain(t *testing.T) {
	root := newRoot(t)
	write(t, root, begin(1), begin(2))
	spool(t, root, begin(2), begin(1), begin(3)) // as if a writer died before it removed the files
	takeIn(t, root)
	wantLogged(t, root, "1 2 3")
	if n := store.Waiting(root); n != 0 {
		t.Errorf("%d events wait", n)
	}
}

func TestTwoWritersTakeEachEventOnce(t *testing.T) {
	root := newRoot(t)
	writers := []*store.Store{open(t, root), open(t, root)}
	var want []string
	for n := range 20 {
		spool(t, root, begin(n))
		want = append(want, fmt.Sprint(n))
	}
	var wg sync.WaitGroup
	for _, s := range writers {
		wg.Go(func() {
			if err := s.TakeIn(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantLogged(t, root, strings.Join(want, " "))
}

func TestSpoolBelowVarLogIsTheSecondPlace(t *testing.T) {
	root := newRoot(t)
	put(t, filepath.Join(root, store.StateDir, "spool"), "a file in its place")
	spool(t, root, begin(1))
	if got := files(t, root, "var/log/klp-audit/spool"); len(got) != 1 {
		t.Errorf("below /var/log: %q", got)
	}
	takeIn(t, root)
	wantLogged(t, root, "1")
}

func TestNoPlaceToSpoolIsAnErrorThatNamesThePlaces(t *testing.T) {
	root := newRoot(t)
	first, second := filepath.Join(root, store.StateDir, "spool"), filepath.Join(root, "var/log/klp-audit")
	put(t, first, "")
	put(t, second, "")
	err := store.Spool(root, begin(1), errBusy, false)
	if err == nil || !strings.Contains(err.Error(), first) || !strings.Contains(err.Error(), second) || !strings.Contains(err.Error(), begin(1).ID) {
		t.Errorf("got %v", err)
	}
	if err := store.Spool(root, begin(1), errBusy, true); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("in the log's spool: %v", err)
	}
}

func TestRestsOfDeadWritersAreRemoved(t *testing.T) {
	root := newRoot(t)
	spool(t, root, begin(1))
	dir := filepath.Join(root, store.StateDir, "spool")
	put(t, filepath.Join(dir, ".new-young"), "")
	put(t, filepath.Join(dir, ".new-old"), "")
	past := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(filepath.Join(dir, ".new-old"), past, past))
	takeIn(t, root)
	if got := files(t, root, store.StateDir+"/spool"); !slices.Equal(got, []string{".new-young"}) {
		t.Errorf("left: %q", got)
	}
}

func TestSpoolStaysWhenItCannotBeTakenIn(t *testing.T) {
	root := newRoot(t)
	s := open(t, root)
	spool(t, root, begin(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Append(ctx, begin(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := store.Waiting(root); n != 1 {
		t.Errorf("%d events wait", n)
	}
	check(t, s.Append(t.Context(), begin(2)))
	wantLogged(t, root, "1 2")
}

// large is event n: the begin of a commit with very many steps.
func large(n, steps int) *record.Event {
	var changes []record.Change
	for i := range steps {
		changes = append(changes, install(fmt.Sprintf("kernel-%d", i), "1-1", record.ResultUnknown))
	}
	return begin(n, changes...)
}

// A large event waits for a writer with more time, and the events after it go in: an end even
// before its begin.
func TestLargeEventDoesNotBlockTheSpool(t *testing.T) {
	root := newRoot(t)
	b := large(1, 20_000)
	spool(t, root, b, begin(2), end(3, b, record.OutcomeCompleted), begin(4))
	hasty, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := open(t, root)
	for n := 0; n < 100 && store.Waiting(root) > 1; n++ { // what does not fit into one writer's time goes in with the next
		check(t, s.TakeIn(hasty))
	}
	check(t, s.Append(hasty, begin(5)))
	if n := store.Waiting(root); n != 1 {
		t.Errorf("%d events wait, want the large one", n)
	}
	check(t, s.TakeIn(t.Context()))
	check(t, s.Close())
	if n := store.Waiting(root); n != 0 {
		t.Errorf("%d events wait", n)
	}
	got := logged(t, root)
	if last := len(got) - 1; last >= 0 && got[last] == "1" { // on a slow machine, one of the others may have gone in with a later writer
		slices.Sort(got)
	}
	if list := strings.Join(got, " "); list != "1 2 3 4 5" {
		t.Errorf("events in the log: %s, want 2 to 5, and 1 after them", list)
	}
	if v := verify(t, root, ""); v.Result != proof.Intact {
		t.Errorf("record: %q", v.Problems)
	}
}

// A writer with little time takes in what fits, and stops in time. A busy machine may stall for as
// long, so the limit is raised until it shows.
func TestTakingInEndsInTime(t *testing.T) {
	const events = 400
	for limit := 200 * time.Millisecond; ; limit += limit / 2 {
		root := newRoot(t)
		write(t, root, begin(1))
		for n := range events {
			spool(t, root, begin(n+2))
		}
		s := open(t, root)
		hasty, cancel := context.WithTimeout(t.Context(), limit)
		err, late := s.TakeIn(hasty), hasty.Err() != nil
		cancel()
		check(t, s.Close())
		left := store.Waiting(root)
		if err == nil && !late && left > 0 && left < events {
			return
		}
		if limit > 10*time.Second || left == 0 {
			t.Fatalf("in %v: %v, no time left for an event of its own: %v, %d of %d events wait", limit, err, late, left, events)
		}
	}
}

// The root of another machine may be a relative path.
func TestSpoolOfARelativeRoot(t *testing.T) {
	root := newRoot(t)
	spool(t, root, begin(1))
	t.Chdir(filepath.Dir(root))
	if s := store.LookAtSpool(filepath.Base(root)); s.Waiting != 1 || s.Reason != errBusy.Error() || s.Since == nil || s.Unseen != "" {
		t.Errorf("got %+v", s)
	}
	takeIn(t, filepath.Base(root))
	wantLogged(t, root, "1")
}

// Why a file waits that this program cannot read.
func TestReasonOfAFileThatCannotBeRead(t *testing.T) {
	root := newRoot(t)
	newer := begin(1)
	newer.V = record.EventVersion + 1
	spool(t, root, newer)
	if s := store.LookAtSpool(root); !strings.Contains(s.Reason, "event of a newer version") {
		t.Errorf("got %q", s.Reason)
	}
}
