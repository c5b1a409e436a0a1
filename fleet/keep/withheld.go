package keep

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/record/proof"
)

// A statement of what is withheld is a signed note with these lines: the format, the log's key, the
// branch, and the numbers of the events, such as 1-30,33.
const withheldFormat = "klp-audit-fleet/withheld/1"

// withheld are the bodies that the collector's statements name.
type withheld struct {
	ranges   [][2]int64 // in order
	problems []string
	found    int64 // how many of them a verification met
}

// has says whether a statement names an event.
func (w *withheld) has(seq int64) bool {
	_, yes := slices.BinarySearchFunc(w.ranges, seq, func(r [2]int64, seq int64) int {
		switch {
		case r[1] < seq:
			return -1
		case r[0] > seq:
			return 1
		}
		return 0
	})
	if yes {
		w.found++
	}
	return yes
}

// take takes over what a statement says of the events after one, up to another.
func (w *withheld) take(ranges [][2]int64, after, to int64) {
	for _, r := range ranges {
		if r = [2]int64{max(r[0], after+1), min(r[1], to)}; r[0] <= r[1] {
			w.ranges = append(w.ranges, r)
		}
	}
}

// withheldOf reads the statements about a branch, and about what it shares with those that it leaves.
func withheldOf(ctx context.Context, db *pg.DB, l *pg.Log, branch int, key string) (*withheld, error) {
	w := &withheld{}
	to := l.At(branch).Size
	for b := l.At(branch); b != nil; b = l.Left(b) {
		s, err := db.Withheld(ctx, l.ID, b.Number)
		if err != nil {
			return nil, err
		}
		if s != nil {
			ranges, err := readStatement(s.Text, l.Key, b.Number, key)
			if err != nil {
				w.problems = append(w.problems, fmt.Sprintf("the statement of what is withheld: %v", err))
			}
			w.take(ranges, b.Since, to)
		}
		if b.Common != nil {
			to = min(to, *b.Common)
		}
	}
	slices.SortFunc(w.ranges, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	return w, nil
}

// statement writes which bodies of a branch are withheld.
func statement(key *proof.Key, logKey string, branch int, ranges [][2]int64) (string, error) {
	var list []string
	for _, r := range ranges {
		if r[0] == r[1] {
			list = append(list, strconv.FormatInt(r[0], 10))
		} else {
			list = append(list, fmt.Sprintf("%d-%d", r[0], r[1]))
		}
	}
	text := fmt.Sprintf("%s\n%s\nbranch %d\nevents %s\n", withheldFormat, logKey, branch, strings.Join(list, ","))
	return key.SignText(text)
}

// readStatement reads a statement that the collector's key signed.
func readStatement(text, logKey string, branch int, key string) (ranges [][2]int64, err error) {
	if key == "" {
		return nil, fmt.Errorf("the collector's key is not here to check it")
	}
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, err
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return nil, err
	}
	want := fmt.Sprintf("%s\n%s\nbranch %d\nevents ", withheldFormat, logKey, branch)
	list, ok := strings.CutPrefix(n.Text, want)
	if !ok {
		return nil, fmt.Errorf("it is about something else: %.80q", n.Text)
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(list, "\n"), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return nil, err
		}
		b, err := strconv.ParseInt(to, 10, 64)
		if err != nil {
			return nil, err
		}
		ranges = append(ranges, [2]int64{a, b})
	}
	return ranges, nil
}
