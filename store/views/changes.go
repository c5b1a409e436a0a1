package views

import "github.com/klp-audit/klp-audit/record/view"

// rowsOf returns the rows of package changes.
func rowsOf(list []view.Change) (m []mutation) {
	for _, c := range list {
		values := make([]any, 0, len(ChangeColumns))
		for _, column := range ChangeColumns {
			values = append(values, column.value(&c))
		}
		m = append(m, changes.add(values...))
	}
	return m
}
