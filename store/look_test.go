package store_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/store"
)

func look(t *testing.T, root string) *proof.Verification {
	t.Helper()
	s, err := store.OpenReadOnly(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	v, err := s.Look(t.Context(), root)
	check(t, err)
	return v
}

// verified is an observation at event n with the result of a full verification.
func verified(n int, found string) *record.Event {
	ev := observation(n)
	ev.Observation.Parts = map[record.PartName]json.RawMessage{record.PartVerify: json.RawMessage(found)}
	return ev
}

// A quick look finds what the newest checkpoint, the recorder and the last full verification on
// record show.
func TestLook(t *testing.T) {
	for name, tt := range map[string]struct {
		alter func(t *testing.T, root string)
		want  proof.Integrity
		says  string
	}{
		"nothing": {func(*testing.T, string) {}, proof.Intact, ""},
		"more events than were signed": {func(t *testing.T, root string) {
			addRaw(t, attack(t, root), `{"v":1,"kind":"x","id":"x","time":"2026-03-01T12:00:00.000000Z"}`)
		}, proof.Altered, "another program added some"},
		"fewer events than were signed": {func(t *testing.T, root string) {
			exec(t, attack(t, root), `DELETE FROM events WHERE seq = 7`)
		}, proof.Truncated, "the checkpoint covers 7 events, the log has 6"},
		"no event": {func(t *testing.T, root string) { exec(t, attack(t, root), `DELETE FROM events`) }, proof.Truncated, "there is no event"},
		"another proof": {func(t *testing.T, root string) {
			exec(t, attack(t, root), `UPDATE hashes SET hash = zeroblob(32) WHERE id = 10`)
		}, proof.Altered, "the root hash is"},
		"half a proof":  {func(t *testing.T, root string) { exec(t, attack(t, root), `DELETE FROM hashes WHERE id = 10`) }, proof.Altered, "the proof is not whole"},
		"no checkpoint": {func(t *testing.T, root string) { exec(t, attack(t, root), `DELETE FROM checkpoint`) }, proof.Altered, "checkpoint"},
		"another key": {func(t *testing.T, root string) {
			other, err := os.ReadFile(store.KeyPath(sample(t)))
			check(t, err)
			check(t, os.WriteFile(store.KeyPath(root), other, 0o600))
		}, proof.Altered, "checkpoint"},
		"a key that is none":    {func(t *testing.T, root string) { check(t, os.WriteFile(store.KeyPath(root), nil, 0o600)) }, proof.Altered, "the key that signs the record is gone"},
		"a key that cannot be":  {func(t *testing.T, root string) { check(t, os.Remove(store.KeyPath(root))) }, proof.Altered, "the key that signs the record is gone"},
		"signed over an attack": {signedOver, proof.Altered, "the recorder found that the log was not the one"},
		"made anew": {func(t *testing.T, root string) {
			check(t, os.Remove(store.Path(root)))
			write(t, root, begin(1))
		}, proof.Truncated, "an earlier record was gone"},
		"found altered": {func(t *testing.T, root string) {
			write(t, root, verified(20, `{"result":"intact"}`), verified(21, `{"result":"altered","problems":["event 3 is another one"]}`))
		}, proof.Altered, "found: event 3 is another one"},
		"found truncated": {func(t *testing.T, root string) { write(t, root, verified(20, `{"result":"truncated"}`)) }, proof.Truncated, "see the event"},
		"mended": {func(t *testing.T, root string) {
			write(t, root, verified(20, `{"result":"altered"}`), verified(21, `{"result":"intact"}`), observation(22))
		}, proof.Intact, ""},
		"not to be read": {func(t *testing.T, root string) { write(t, root, verified(20, `[]`)) }, proof.Intact, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := sample(t)
			tt.alter(t, root)
			v := look(t, root)
			if said := strings.Join(v.Problems, "\n"); v.Result != tt.want || !strings.Contains(said, tt.says) || (said == "") != (tt.want == proof.Intact) {
				t.Errorf("%s: %q\nwant %s: %q", v.Result, said, tt.want, tt.says)
			}
		})
	}
}

// signedOver lets the recorder continue after an attack.
func signedOver(t *testing.T, root string) {
	addRaw(t, attack(t, root), `{"id":"x","kind":"recorder"}`)
	s, err := store.Open(t.Context(), root, program)
	check(t, err)
	defer s.Close()
	check(t, s.Append(t.Context(), begin(30)))
}

// For an altered record, reports show what its events say, as far as they can be read.
func TestOpenAltered(t *testing.T) {
	root := sample(t)
	db := attack(t, root)
	exec(t, db, `UPDATE events SET body = '{' WHERE seq = 4`)
	exec(t, db, `UPDATE events SET body = replace(body, '"outcome":"completed"', '"outcome":"perhaps"') WHERE seq = 3`)
	exec(t, db, `DELETE FROM events WHERE seq = 5; UPDATE changes SET version = '9-9'; DELETE FROM commits`)
	check(t, db.Close())
	s, err := store.OpenAltered(t.Context(), store.Path(root))
	check(t, err)
	defer s.Close()
	rows := history(t, s, record.HistoryFilter{})
	if len(rows) != 2 || rows[0].Version != "6.4.0-2" || rows[1].Version != "5-150600.2.1" || rows[1].Outcome != nil {
		t.Errorf("%d rows: %v", len(rows), rows)
	}
	sum, err := s.Summarize(t.Context())
	check(t, err)
	if sum.Events != 7 || sum.Checkpoint == "" {
		t.Errorf("%d events, checkpoint %q", sum.Events, sum.Checkpoint)
	}
	check(t, os.WriteFile(store.Path(root), []byte("no record"), 0o600))
	if _, err := store.OpenAltered(t.Context(), store.Path(root)); err == nil {
		t.Error("a file that is no record was opened")
	}
}
