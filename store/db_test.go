package store

import "testing"

// Every event that an export may hold fits into the database.
func TestTextsHoldALineOfAnExport(t *testing.T) {
	if maxText < maxExportLine {
		t.Errorf("SQLite takes %d bytes, a line of an export has up to %d", maxText, maxExportLine)
	}
}
