package store

import "github.com/klp-audit/klp-audit/store/views"

// SetLayout makes SQL the views of an earlier version for a test, until it is undone.
func SetLayout(version int, sql string) (undo func()) {
	before, ok := views.Layouts[version]
	views.Layouts[version] = sql
	return func() {
		if views.Layouts[version] = before; !ok {
			delete(views.Layouts, version)
		}
	}
}
