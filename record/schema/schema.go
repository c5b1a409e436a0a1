// Package schema has the JSON Schemas of the bodies of events. event-1.json describes all events;
// it names one file for each kind.
package schema

import "embed"

// Files are the schemas.
//
//go:embed *.json
var Files embed.FS
