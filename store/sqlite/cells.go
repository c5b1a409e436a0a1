package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Cells are the columns of a row, taken one after the other. A method returns zero if the column
// has another type; then the reader of the rows gets an error instead of this row.
type Cells struct {
	Enough bool // no more rows are wanted after this one

	values []driver.Value
	taken  int
	err    error // of the first column that had the wrong type
}

func (c *Cells) next() driver.Value {
	c.taken++
	return c.values[c.taken-1]
}

// Fail ends the reading with an error; nil: it does nothing. The first error counts.
func (c *Cells) Fail(err error) {
	if c.err == nil && err != nil {
		c.err = err
	}
}

// Err returns the error that ends the reading with this row; nil: none.
func (c *Cells) Err() error { return c.err }

// take takes a column.
func take[T any](c *Cells) T {
	v := c.next()
	value, ok := v.(T)
	if !ok {
		c.Fail(fmt.Errorf("column %d holds %T, not %T", c.taken, v, value))
	}
	return value
}

// orNil takes a column that may be null.
func orNil[T any](c *Cells, take func(*Cells) T) *T {
	if c.values[c.taken] == nil {
		c.taken++
		return nil
	}
	return new(take(c))
}

// Text takes a column that holds a text.
func (c *Cells) Text() string { return take[string](c) }

// TextOrNil takes a column that holds a text, or null.
func (c *Cells) TextOrNil() *string { return orNil(c, (*Cells).Text) }

// Number takes a column that holds a whole number.
func (c *Cells) Number() int64 { return take[int64](c) }

// NumberOrNil takes a column that holds a whole number, or null.
func (c *Cells) NumberOrNil() *int64 { return orNil(c, (*Cells).Number) }

// Int takes a column that holds a small whole number.
func (c *Cells) Int() int { return int(c.Number()) }

// IntOrNil takes a column that holds a small whole number, or null.
func (c *Cells) IntOrNil() *int { return orNil(c, (*Cells).Int) }

// Yes takes a column that holds 1 for yes or 0 for no.
func (c *Cells) Yes() bool { return take[int64](c) != 0 }

// YesOrNil takes a column that holds 1 for yes, 0 for no, or null.
func (c *Cells) YesOrNil() *bool { return orNil(c, (*Cells).Yes) }

// Moment takes a column that holds a moment (see Moment).
func (c *Cells) Moment() record.Timestamp { return Moment(c.Number()) }

// MomentOrNil takes a column that holds a moment, or null.
func (c *Cells) MomentOrNil() *record.Timestamp { return orNil(c, (*Cells).Moment) }

// Moment converts a column that holds microseconds since 1970.
func Moment(us int64) record.Timestamp { return record.At(time.UnixMicro(us)) }

// Bytes takes a column of any type, nil for null: an altered database may hold anything.
func (c *Cells) Bytes() []byte {
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

// Texts takes a column that holds a JSON array of texts.
func (c *Cells) Texts() []string { return array(c, parseTexts) }

// Array takes a column that holds a JSON array.
func Array[T any](c *Cells) []T { return array(c, parseArray[T]) }

func array[T any](c *Cells, parse func(string) ([]T, error)) []T {
	list, err := parse(c.Text())
	if err != nil {
		c.Fail(fmt.Errorf("column %d: %w", c.taken, err))
	}
	return list
}

// parseTexts reads a JSON array of strings. Nearly all strings in views are plain, so it cuts those
// instead of parsing them.
func parseTexts(text string) ([]string, error) {
	if n := len(text); n >= 4 && text[:2] == `["` && text[n-2:] == `"]` && isPlain(text) {
		list := strings.Split(text[2:n-2], `","`)
		if strings.Count(text, `"`) == 2*len(list) {
			return list, nil
		}
	}
	return parseArray[string](text)
}

func parseArray[T any](text string) ([]T, error) {
	list := []T{}
	if text == "[]" {
		return list, nil
	}
	err := json.Unmarshal([]byte(text), &list)
	return list, err
}

// isPlain says whether JSON writes every character of a text unescaped.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return true
}
