package sqlite

import "iter"

// PageSize is how many rows a page has. It bounds how long a reader holds its lock and how much
// memory it needs: it reads one page, then asks again.
const PageSize = 500

// Pages yields pages of rows, each starting after the last row of the previous one; read says
// whether there may be more.
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

// Ahead reads the next page while the previous one is still in use.
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

// Beside works on a page while the previous one is still in use and the next one is read. It reads
// pages in the consumer's goroutine, because two cannot use a connection at a time, and works on
// one page at a time. The first error ends it.
func Beside[T, U any](pages iter.Seq2[[]T, error], work func([]T) ([]U, error)) iter.Seq2[[]U, error] {
	type result struct {
		page []U
		err  error
	}
	return func(yield func([]U, error) bool) {
		results, working := make(chan result, 1), false
		wait := func() (r result, ok bool) {
			if ok = working; ok {
				r, working = <-results, false
			}
			return r, ok
		}
		defer wait() // the record may be closed after this
		for page, err := range pages {
			before, ok := wait()
			if ok && before.err != nil {
				yield(before.page, before.err)
				return
			}
			if err == nil {
				working = true
				go func() {
					done, err := work(page)
					results <- result{done, err}
				}()
			}
			if ok && !yield(before.page, nil) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if last, ok := wait(); ok {
			yield(last.page, last.err)
		}
	}
}
