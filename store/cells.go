package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// cells are the columns of a row, taken one after the other.
type cells struct {
	values []driver.Value
	taken  int
	err    error // of the first column that is not what it was taken for
}

// readRows reads the rows of a query. It asks the driver: database/sql converts column by
// column, and for a wide row that takes longer than to find it.
func readRows[T any](ctx context.Context, db *sql.DB, query string, args []any, take func(*cells) T) (list []T, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	err = conn.Raw(func(c any) error {
		rows, err := c.(driver.QueryerContext).QueryContext(ctx, query, numbered(args))
		if err != nil {
			return err
		}
		row := &cells{values: make([]driver.Value, len(rows.Columns()))}
		for err = rows.Next(row.values); err == nil; err = rows.Next(row.values) {
			row.taken = 0
			v := take(row)
			if row.err != nil {
				return errors.Join(row.err, rows.Close())
			}
			list = append(list, v)
		}
		if err == io.EOF {
			err = nil
		}
		return errors.Join(err, rows.Close())
	})
	return list, err
}

// numbered are the arguments of a query, texts and 64-bit integers, as the driver has them.
func numbered(args []any) (list []driver.NamedValue) {
	for i, v := range args {
		list = append(list, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return list
}

// take takes a column.
func take[T any](c *cells) T {
	v := c.values[c.taken]
	c.taken++
	value, ok := v.(T)
	if !ok && c.err == nil {
		c.err = fmt.Errorf("column %d holds %T, not %T", c.taken, v, value)
	}
	return value
}

// takeOrNil takes a column that may be null.
func takeOrNil[T any](c *cells) *T {
	if c.values[c.taken] == nil {
		c.taken++
		return nil
	}
	return new(take[T](c))
}

// takeList takes a column that holds a JSON array of texts.
func takeList(c *cells) []string {
	list, err := parseList(take[string](c))
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("column %d: %w", c.taken, err)
	}
	return list
}

// takeScripts takes a column that holds a JSON array of scripts.
func takeScripts(c *cells) []record.Script {
	list := []record.Script{}
	text := take[string](c)
	if text == "[]" {
		return list
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil && c.err == nil {
		c.err = fmt.Errorf("column %d: %w", c.taken, err)
	}
	return list
}

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

// jsonList scans a column that holds a JSON array of texts.
type jsonList struct{ into *[]string }

// Scan implements sql.Scanner.
func (l jsonList) Scan(v any) (err error) {
	text, ok := v.(string)
	if !ok {
		return fmt.Errorf("list column holds %T", v)
	}
	*l.into, err = parseList(text)
	return err
}
