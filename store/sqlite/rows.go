package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
)

// rowReader reads rows of this many columns; next fills in the values of the next row and returns
// io.EOF at the end.
type rowReader func(width int, next func([]driver.Value) error) error

// ReadRows reads all rows of a query.
func ReadRows[T any](ctx context.Context, q Querier, query string, args []any, read func(*Cells) T) (list []T, err error) {
	err = EachRow(ctx, q, query, args, func(c *Cells) {
		if v := read(c); c.err == nil {
			list = append(list, v)
		}
	})
	return list, err
}

// EachRow reads the rows of a query one by one.
func EachRow(ctx context.Context, q Querier, query string, args []any, read func(*Cells)) error {
	each := func(width int, next func([]driver.Value) error) error {
		row := &Cells{values: make([]driver.Value, width)}
		for row.err == nil && !row.Enough {
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
	if db, ok := q.(*DB); ok {
		return Classify(queryDriver(ctx, db, query, args, each))
	}
	return Classify(queryTx(ctx, q, query, args, each))
}

// queryDriver asks the driver directly: database/sql converts column by column, which for a wide
// row takes longer than finding it.
func queryDriver(ctx context.Context, db *DB, query string, args []any, each rowReader) error {
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

// driverValues converts the arguments of a query for the driver.
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

// queryTx asks database/sql, which does not expose the connection of a transaction.
func queryTx(ctx context.Context, q Querier, query string, args []any, each rowReader) error {
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
