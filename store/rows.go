package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// rowQuerier is a database, or a transaction on it.
type rowQuerier interface {
	querier
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rowReader reads rows of so many columns; next fills in the values of the next one, and io.EOF ends them.
type rowReader func(width int, next func([]driver.Value) error) error

// readRows reads all rows of a query.
func readRows[T any](ctx context.Context, q rowQuerier, query string, args []any, read func(*cells) T) (list []T, err error) {
	err = eachRow(ctx, q, query, args, func(c *cells) {
		if v := read(c); c.err == nil {
			list = append(list, v)
		}
	})
	return list, err
}

// eachRow reads the rows of a query one by one.
func eachRow(ctx context.Context, q rowQuerier, query string, args []any, read func(*cells)) error {
	each := func(width int, next func([]driver.Value) error) error {
		row := &cells{values: make([]driver.Value, width)}
		for row.err == nil && !row.enough {
			if err := next(row.values); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			row.taken = 0
			read(row)
		}
		return row.err
	}
	if db, ok := q.(*sql.DB); ok {
		return classify(queryDriver(ctx, db, query, args, each))
	}
	return classify(queryTx(ctx, q, query, args, each))
}

// queryDriver asks the driver: database/sql converts column by column, and for a wide row that takes
// longer than to find it.
func queryDriver(ctx context.Context, db *sql.DB, query string, args []any, each rowReader) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	values, err := driverValues(args)
	if err != nil {
		return err
	}
	return conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, values)
		if err != nil {
			return err
		}
		return errors.Join(each(len(rows.Columns()), rows.Next), rows.Close())
	})
}

// driverValues are the arguments of a query as the driver has them.
func driverValues(args []any) (list []driver.NamedValue, err error) {
	for i, arg := range args {
		v := driver.NamedValue{Ordinal: i + 1, Value: arg}
		if named, ok := arg.(sql.NamedArg); ok {
			v.Name, v.Value = named.Name, named.Value
		}
		if v.Value, err = driver.DefaultParameterConverter.ConvertValue(v.Value); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// queryTx asks database/sql, which does not give out the connection of a transaction.
func queryTx(ctx context.Context, q rowQuerier, query string, args []any, each rowReader) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	return each(len(columns), func(values []driver.Value) error {
		if !rows.Next() {
			return cmp.Or(rows.Err(), io.EOF)
		}
		err := rows.Scan(into...)
		for i := range row {
			values[i] = row[i]
		}
		return err
	})
}

// cells are the columns of a row, taken one after the other.
type cells struct {
	values []driver.Value
	taken  int
	enough bool  // no row after this one is wanted
	err    error // of the first column that is not what it was taken for
}

func (c *cells) next() driver.Value {
	c.taken++
	return c.values[c.taken-1]
}

func (c *cells) fail(err error) {
	if c.err == nil && err != nil {
		c.err = err
	}
}

// take takes a column.
func take[T any](c *cells) T {
	v := c.next()
	value, ok := v.(T)
	if !ok {
		c.fail(fmt.Errorf("column %d holds %T, not %T", c.taken, v, value))
	}
	return value
}

// orNil takes a column that may be null.
func orNil[T any](c *cells, take func(*cells) T) *T {
	if c.values[c.taken] == nil {
		c.taken++
		return nil
	}
	return new(take(c))
}

func (c *cells) text() string                   { return take[string](c) }
func (c *cells) textOrNil() *string             { return orNil(c, (*cells).text) }
func (c *cells) number() int64                  { return take[int64](c) }
func (c *cells) numberOrNil() *int64            { return orNil(c, (*cells).number) }
func (c *cells) int() int                       { return int(c.number()) }
func (c *cells) yes() bool                      { return take[int64](c) != 0 }
func (c *cells) yesOrNil() *bool                { return orNil(c, (*cells).yes) }
func (c *cells) moment() record.Timestamp       { return microseconds(c.number()) }
func (c *cells) momentOrNil() *record.Timestamp { return orNil(c, (*cells).moment) }

// bytes takes a column whatever it holds: in an altered record the body of an event may be anything.
func (c *cells) bytes() []byte {
	switch v := c.next().(type) {
	case nil:
		return nil
	case []byte:
		return v
	case string:
		return []byte(v)
	default:
		return fmt.Append(nil, v)
	}
}

// numberedEvent is an event with its sequence number.
type numberedEvent struct {
	seq   int64
	event *record.Event
}

// numberedEvent takes two columns, with the number and the body of an event.
func (c *cells) numberedEvent() numberedEvent {
	seq := c.number()
	ev, err := record.Decode(c.bytes())
	if err != nil {
		c.fail(fmt.Errorf("event %d: %w", seq, err))
	}
	return numberedEvent{seq, ev}
}

// list takes a column that holds a JSON array of texts.
func (c *cells) list() []string {
	list, err := parseList(c.text())
	if err != nil {
		c.fail(fmt.Errorf("column %d: %w", c.taken, err))
	}
	return list
}

// scripts takes a column that holds a JSON array of scripts.
func (c *cells) scripts() []record.Script {
	list := []record.Script{}
	text := c.text()
	if text == "[]" {
		return list
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		c.fail(fmt.Errorf("column %d: %w", c.taken, err))
	}
	return list
}

func microseconds(us int64) record.Timestamp { return record.At(time.UnixMicro(us)) }

// parseList reads a JSON array of texts. Those that views hold are nearly all plain, and
// then they are cut and not parsed.
func parseList(text string) ([]string, error) {
	if text == "[]" {
		return []string{}, nil
	}
	if n := len(text); n >= 4 && text[:2] == `["` && text[n-2:] == `"]` && isPlain(text) {
		list := strings.Split(text[2:n-2], `","`)
		if strings.Count(text, `"`) == 2*len(list) {
			return list, nil
		}
	}
	list := []string{}
	err := json.Unmarshal([]byte(text), &list)
	return list, err
}

// isPlain says whether JSON has every character of a text as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}

// A page bounds how long a reader holds its lock, and how much it holds in memory: it reads one,
// and asks again.
const (
	pageSize  = 500     // rows
	pageBytes = 8 << 20 // of events' bodies, and one event more
)

// pages yields pages of rows, each read after the last row of the one before; read says whether
// there may be more.
func pages[T any](start T, read func(after T) (page []T, more bool, err error)) iter.Seq2[[]T, error] {
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

// rowsOf yields the rows of pages, and then the error that ended them.
func rowsOf[T any](pages iter.Seq2[[]T, error]) iter.Seq2[T, error] {
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

// ahead reads a page while the one before is still in use.
func ahead[T any](pages iter.Seq2[[]T, error]) iter.Seq2[[]T, error] {
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
