package views

import (
	"strings"

	"github.com/klp-audit/klp-audit/record/view"
)

// changeRow are the values of a row of the view changes, and insertChanges the statement that writes one.
var (
	changeRow     = "(?" + strings.Repeat(", ?", len(ChangeColumns)-1) + ")"
	insertChanges = "INSERT INTO changes (" + Names(ChangeColumns) + ") VALUES " + changeRow
)

// insertions write package changes into the view.
func insertions(changes []view.Change) (m []mutation) {
	for _, c := range changes {
		insert := mutation{query: insertChanges, row: changeRow, args: make([]any, 0, len(ChangeColumns))}
		for _, column := range ChangeColumns {
			insert.args = append(insert.args, column.value(&c))
		}
		m = append(m, insert)
	}
	return m
}
