package sqlite

import "iter"

// A page bounds how long a reader holds its lock, and how much it holds in memory: it reads one,
// and asks again.
const (
	PageSize  = 500     // rows
	PageBytes = 8 << 20 // of what the rows hold, and one row more
)

// Pages yields pages of rows, each read after the last row of the one before; read says whether
// there may be more.
func Pages[T any](start T, read func(after T) (page []T, more bool, err error)) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		for last, more := start, true; more; {
			var page []T
			var err error
			page, more, err = read(last)
			if err != nil {
				yield(page, err)
				return
			}
			if more = more && len(page) > 0; more {
				last = page[len(page)-1]
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

// RowsOf yields the rows of pages, and then the error that ended them.
func RowsOf[T any](pages iter.Seq2[[]T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, err)
				return
			}
		}
	}
}

// Ahead reads a page while the one before is still in use.
func Ahead[T any](pages iter.Seq2[[]T, error]) iter.Seq2[[]T, error] {
	type result struct {
		page []T
		err  error
		ok   bool
	}
	return func(yield func([]T, error) bool) {
		next, stop := iter.Pull2(pages)
		defer stop()
		results := make(chan result, 1)
		fetch := func() {
			page, err, ok := next()
			results <- result{page, err, ok}
		}
		go fetch()
		for r := <-results; r.ok; r = <-results {
			go fetch()
			if !yield(r.page, r.err) {
				<-results // the record may be closed after this
				return
			}
		}
	}
}
