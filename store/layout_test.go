package store

// SetLayout makes SQL the views of an earlier version for a test, until it is undone.
func SetLayout(version int, sql string) (undo func()) {
	before, ok := layouts[version]
	layouts[version] = sql
	return func() {
		if layouts[version] = before; !ok {
			delete(layouts, version)
		}
	}
}
