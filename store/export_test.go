package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
	"github.com/klp-audit/klp-audit/store/sqlite"
)

// An export can hold whatever the database accepts.
func TestEventsFitIntoALineOfAnExport(t *testing.T) {
	if sqlite.MaxText != proof.MaxExportLine {
		t.Errorf("a text has at most %d bytes, a line %d", sqlite.MaxText, proof.MaxExportLine)
	}
}

// exported is the export of a record, and the verification of the record itself.
func exported(t *testing.T, root string, since int64) ([]byte, *proof.Verification) {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	var b bytes.Buffer
	check(t, s.Export(t.Context(), &b, since))
	v, err := s.Verify(t.Context(), "")
	check(t, err)
	return b.Bytes(), v
}

func verifyExport(t *testing.T, export []byte, key string, earlier ...string) *proof.Verification {
	t.Helper()
	v, err := proof.VerifyExport(t.Context(), bytes.NewReader(export), key, earlier...)
	check(t, err)
	return v
}

// grown is a record of seven events that grew in four steps, with the checkpoint of each.
func grown(t *testing.T) (root string, checkpoints []string) {
	t.Helper()
	root = newRoot(t)
	note := func() {
		s := open(t, root)
		sum, err := s.Summarize(t.Context())
		check(t, err)
		check(t, s.Close())
		checkpoints = append(checkpoints, sum.Checkpoint)
	}
	a, b, c := begin(1, patch(record.ResultUnknown)), begin(3), begin(5)
	for _, step := range [][]*record.Event{nil, {a, end(2, a, record.OutcomeCompleted, patch(record.ResultOK))}, {b}, {end(4, b, record.OutcomeFailed), c, end(6, c, record.OutcomeCompleted)}} {
		write(t, root, step...)
		note()
	}
	return root, checkpoints
}

// Reading an export back gives the record: the same bytes, the same tree.
func TestExport(t *testing.T) {
	root, _ := grown(t)
	export, want := exported(t, root, 0)
	lines := strings.Split(strings.TrimSuffix(string(export), "\n"), "\n")
	bodies := query(t, raw(t, root), `SELECT body FROM events ORDER BY seq`)
	if len(lines) != len(bodies)+2 || !json.Valid([]byte(lines[0])) {
		t.Fatalf("%d lines:\n%s", len(lines), export)
	}
	for i, body := range bodies {
		line := fmt.Sprintf(`{"seq":%d,"hash":"%s","event":%s}`, i+1, tlog.RecordHash([]byte(body)), body)
		if lines[i+1] != line {
			t.Errorf("got  %s\nwant %s", lines[i+1], line)
		}
	}
	if got := verifyExport(t, export, ""); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	if got := verifyExport(t, export, want.Key); !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	path := filepath.Join(t.TempDir(), "export")
	check(t, os.WriteFile(path, export, 0o600))
	s, v, err := store.OpenExport(t.Context(), path, "")
	check(t, err)
	defer s.Close()
	if !cmp.Equal(want, v) {
		t.Error(cmp.Diff(want, v))
	}
	original := open(t, root)
	if diff := cmp.Diff(history(t, original, record.HistoryFilter{}), history(t, s, record.HistoryFilter{}), rowOpts); diff != "" {
		t.Error(diff)
	}
	first, err := original.Summarize(t.Context())
	check(t, err)
	second, err := s.Summarize(t.Context())
	check(t, err)
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
}

// An export since a checkpoint is proven to continue it, without the events before it.
func TestExportSince(t *testing.T) {
	root, checkpoints := grown(t)
	s := open(t, root)
	for since := range int64(8) {
		export, want := exported(t, root, since)
		got := verifyExport(t, export, "")
		if got.Result != proof.Intact || got.RootHash != want.RootHash || got.TreeSize != 7 || bytes.Count(export, []byte("\n")) != int(9-since) {
			t.Errorf("since %d: %+v", since, got)
		}
	}
	part, _ := exported(t, root, 5)
	for i := range 2 * len(part) { // no byte may change, not even its case
		broken, mask := slices.Clone(part), byte(1)
		if i >= len(part) {
			i, mask = i-len(part), 0x20
		}
		broken[i] ^= mask
		v, err := proof.VerifyExport(t.Context(), bytes.NewReader(broken), "")
		if err == nil && v.Result == proof.Intact {
			t.Errorf("nobody sees byte %d of %q", i, broken[max(0, i-20):min(len(broken), i+20)])
		}
	}
	for i, size := range []int64{1, 3, 4, 7} {
		if got, err := s.SinceCheckpoint(t.Context(), checkpoints[i]); got != size || err != nil {
			t.Errorf("checkpoint %d: %d, %v", i, got, err)
		}
		export, _ := exported(t, root, size)
		if v := verifyExport(t, export, "", checkpoints[i:]...); v.Result != proof.Intact {
			t.Errorf("checkpoint %d: %+v", i, v)
		}
	}
	if err := s.Export(t.Context(), &bytes.Buffer{}, 8); err == nil {
		t.Error("exported what is not there")
	}
	part, _ = exported(t, root, 4)
	if _, err := proof.VerifyExport(t.Context(), bytes.NewReader(part), "", checkpoints[0]); err == nil || !strings.Contains(err.Error(), "begins after event 4") {
		t.Errorf("a checkpoint before the part: %v", err)
	}
}

// An earlier checkpoint shows what the record alone cannot: a tail that was removed with its
// checkpoint, and a record that was made anew, even with the right key.
func TestEarlierCheckpoint(t *testing.T) {
	root, checkpoints := grown(t)
	other, _ := grown(t)
	foreign, _ := exported(t, other, 0)
	rewritten := newRoot(t)
	key, err := os.ReadFile(store.KeyPath(root))
	check(t, err)
	check(t, os.MkdirAll(filepath.Dir(store.KeyPath(rewritten)), 0o750))
	check(t, os.WriteFile(store.KeyPath(rewritten), key, 0o600))
	write(t, rewritten, begin(1), begin(2), begin(3), begin(4), begin(5), begin(6))
	forged, _ := exported(t, rewritten, 0)
	whole, _ := exported(t, root, 0)
	young := newRoot(t)
	check(t, os.WriteFile(filepath.Join(young, "x"), nil, 0o600))

	for name, tt := range map[string]struct {
		export  []byte
		earlier []string
		want    proof.Integrity
		problem string
	}{
		"its own":                             {whole, checkpoints, proof.Intact, ""},
		"made anew with the key":              {forged, checkpoints[1:2], proof.Altered, "the first 3 events are not those of the earlier checkpoint"},
		"made anew, nobody kept a checkpoint": {forged, nil, proof.Truncated, "an earlier record was gone, but its key was still there"},
		"another record":                      {foreign, checkpoints[:1], proof.Altered, "not signed with a key of this record"},
	} {
		v := verifyExport(t, tt.export, "", tt.earlier...)
		if v.Result != tt.want && !(name == "made anew with the key" && v.Result == proof.Truncated) {
			t.Errorf("%s: %+v", name, v)
		}
		if tt.problem != "" && !strings.Contains(strings.Join(v.Problems, "\n"), tt.problem) {
			t.Errorf("%s: %q", name, v.Problems)
		}
	}

	// Rolled back to an older copy, with the checkpoint of that time.
	rolled := t.TempDir()
	check(t, os.CopyFS(rolled, os.DirFS(root)))
	db := attack(t, rolled)
	exec(t, db, `DELETE FROM events WHERE seq > 4; DELETE FROM hashes WHERE id > 6; UPDATE checkpoint SET size = 4, note = ?`, checkpoints[2])
	check(t, db.Close())
	s, err := store.OpenReadOnly(t.Context(), store.Path(rolled))
	check(t, err)
	defer s.Close()
	v, err := s.Verify(t.Context(), "", checkpoints[3])
	check(t, err)
	if v.Result != proof.Truncated || !strings.Contains(strings.Join(v.Problems, "\n"), "rolled back or replaced") {
		t.Errorf("rolled back: %+v", v)
	}
	if _, err := s.SinceCheckpoint(t.Context(), checkpoints[3]); !errors.Is(err, store.ErrNotContinued) {
		t.Errorf("since a checkpoint that it does not reach: %v", err)
	}
	if _, err := s.Verify(t.Context(), "", "garbage"); err == nil {
		t.Error("garbage is no checkpoint")
	}
	r, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer r.Close()
	if v, err := r.Verify(t.Context(), "", checkpoints...); err != nil || v.Result != proof.Intact {
		t.Errorf("its own: %+v, %v", v, err)
	}
}

// Any change to an export without the key is found, and never crashes the reader.
func TestAlteredExports(t *testing.T) {
	root, checkpoints := grown(t)
	export, whole := exported(t, root, 0)
	lines := bytes.SplitAfter(export, []byte("\n"))
	lines = lines[:len(lines)-1]
	random := rand.New(rand.NewPCG(1, 2))
	alterations := map[string]func() []byte{
		"bit": func() []byte {
			b := slices.Clone(export)
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
			return b
		},
		"byte gone": func() []byte { i := random.IntN(len(export)); return slices.Delete(slices.Clone(export), i, i+1) },
		"byte more": func() []byte {
			return slices.Insert(slices.Clone(export), random.IntN(len(export)), byte(random.IntN(256)))
		},
		"cut": func() []byte { return export[:random.IntN(len(export))] },
		"line gone": func() []byte {
			i := random.IntN(len(lines))
			return bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)
		},
		"line twice": func() []byte {
			i := random.IntN(len(lines))
			return bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil)
		},
		"lines moved": func() []byte {
			l := slices.Clone(lines)
			i := random.IntN(len(l) - 1)
			l[i], l[i+1] = l[i+1], l[i]
			return bytes.Join(l, nil)
		},
		"stretch zeroed": func() []byte {
			b := slices.Clone(export)
			i := random.IntN(len(b))
			clear(b[i:min(len(b), i+1+random.IntN(100))])
			return b
		},
		"hash fitted": func() []byte { // a body with its own hash
			i := 1 + random.IntN(len(lines)-2)
			l := slices.Clone(lines)
			body := bytes.Replace(bytes.TrimSuffix(bytes.SplitN(l[i], []byte(`,"event":`), 2)[1], []byte("}\n")), []byte(`"v":1`), []byte(`"v":0`), 1)
			l[i] = fmt.Appendf(nil, "{\"seq\":%d,\"hash\":\"%s\",\"event\":%s}\n", i, tlog.RecordHash(body), body)
			return bytes.Join(l, nil)
		},
		"tail gone with an old checkpoint": func() []byte { // only the new checkpoint reveals it
			end, _ := json.Marshal(map[string]string{"checkpoint": checkpoints[2]})
			return append(bytes.Join(lines[:5], nil), append(end, '\n')...)
		},
	}
	for name, alter := range alterations {
		for i := range 40 {
			b := alter()
			v, err := proof.VerifyExport(t.Context(), bytes.NewReader(b), "", whole.Checkpoint)
			switch {
			case bytes.Equal(b, export): // one more zero among zeros, for example
			case err != nil && !errors.Is(err, proof.ErrNoExport):
				t.Errorf("%s %d: %v", name, i, err)
			case err == nil && (v.Result == proof.Intact || len(v.Problems) == 0):
				t.Errorf("%s %d: not found\n%s", name, i, b)
			}
		}
	}
	for name, want := range map[string]proof.Integrity{"cut": proof.Truncated, "hash fitted": proof.Altered, "tail gone with an old checkpoint": proof.Truncated} {
		if v, err := proof.VerifyExport(t.Context(), bytes.NewReader(alterations[name]()), "", whole.Checkpoint); err == nil && v.Result != want {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestOpenExportOfAPart(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	root, _ := grown(t)
	part, _ := exported(t, root, 3)
	path := filepath.Join(t.TempDir(), "part")
	check(t, os.WriteFile(path, part, 0o600))
	if _, _, err := store.OpenExport(t.Context(), path, ""); err == nil || !strings.Contains(err.Error(), "reports need all") {
		t.Errorf("a part: %v", err)
	}
	check(t, os.WriteFile(path, []byte("no export\n"), 0o600))
	if _, _, err := store.OpenExport(t.Context(), path, ""); !errors.Is(err, proof.ErrNoExport) {
		t.Errorf("no export: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), ".klp-audit-*"))
	check(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestCopy(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // others have their own copies there
	root, _ := grown(t)
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	path := filepath.Join(t.TempDir(), "a copy?#.db")
	var copied bytes.Buffer
	check(t, s.Copy(t.Context(), &copied))
	put(t, path, copied.String())
	c, err := store.OpenReadOnly(t.Context(), path)
	check(t, err)
	defer c.Close()
	v, err := c.Verify(t.Context(), "")
	check(t, err)
	if v.Result != proof.Intact || v.TreeSize != 7 {
		t.Errorf("%+v", v)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), ".klp-audit-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
