// Package schema holds the JSON Schemas of event bodies. event-1.json describes all events and
// refers to one file for each kind.
package schema

import "embed"

// Files are the schemas.
//
//go:embed *.json
var Files embed.FS
