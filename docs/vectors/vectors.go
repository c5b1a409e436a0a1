// Package vectors holds a program that verifies exports without klp-audit, and examples that it is tried on.
package vectors

import _ "embed"

// Verify is the program: Python that was written from docs/record.md.
//
//go:embed verify.py
var Verify []byte
