package sqlite

import (
	"errors"
	"iter"
	"slices"
	"testing"
)

func pagesOf(bad error, pages ...[]int) iter.Seq2[[]int, error] {
	return func(yield func([]int, error) bool) {
		for _, p := range pages {
			if !yield(p, nil) {
				return
			}
		}
		if bad != nil {
			yield(nil, bad)
		}
	}
}

// Pages come in order although work runs in parallel, up to the first error of either side.
func TestBeside(t *testing.T) {
	errRead, errWork := errors.New("reading"), errors.New("working")
	failAt := func(n int) func([]int) ([]int, error) {
		return func(page []int) (done []int, err error) {
			for _, i := range page {
				if i == n {
					return done, errWork
				}
				done = append(done, 10*i)
			}
			return done, nil
		}
	}
	for name, tt := range map[string]struct {
		pages iter.Seq2[[]int, error]
		work  func([]int) ([]int, error)
		want  []int
		err   error
	}{
		"nothing":         {pagesOf(nil), failAt(0), nil, nil},
		"one page":        {pagesOf(nil, []int{1, 2}), failAt(0), []int{10, 20}, nil},
		"three":           {pagesOf(nil, []int{1, 2}, []int{3}, []int{4, 5}), failAt(0), []int{10, 20, 30, 40, 50}, nil},
		"the read fails":  {pagesOf(errRead, []int{1, 2}, []int{3}), failAt(0), []int{10, 20, 30}, errRead},
		"the first fails": {pagesOf(errRead), failAt(0), nil, errRead},
		"the work fails":  {pagesOf(errRead, []int{1, 2}, []int{3, 4}, []int{5}), failAt(4), []int{10, 20, 30}, errWork},
		"the last fails":  {pagesOf(nil, []int{1}, []int{2, 3}), failAt(3), []int{10, 20}, errWork},
	} {
		t.Run(name, func(t *testing.T) {
			var got []int
			var err error
			for page, bad := range Beside(tt.pages, tt.work) {
				if err != nil {
					t.Error("more after an error")
				}
				got, err = append(got, page...), bad
			}
			if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Errorf("got %v, %v; want %v, %v", got, err, tt.want, tt.err)
			}
		})
	}
}

// A consumer that stops gets no more pages, and no work goes on after that.
func TestBesideStops(t *testing.T) {
	working := 0
	work := func(page []int) ([]int, error) { working++; return page, nil }
	for range Beside(pagesOf(nil, []int{1}, []int{2}, []int{3}, []int{4}), work) {
		break
	}
	if working > 2 {
		t.Errorf("%d pages were worked on", working)
	}
}
