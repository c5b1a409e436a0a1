package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/table"
)

// ConfigurationSchema names the form of a configuration in JSON.
const ConfigurationSchema = "klp-audit/config/1"

// Configuration is the effective configuration.
type Configuration struct {
	Schema   string           `json:"schema"`
	Settings []config.Setting `json:"settings"` // every key
	Problems []string         `json:"problems"` // what was left out of it, with file and line
}

func (c *Configuration) forms() []form { return []form{{"table", c.writeTable}, object(c)} }

// writeTable has values as they stand in a file, and no problems.
func (c *Configuration) writeTable(w io.Writer, style table.Style) error {
	var cells [][]string
	for _, s := range c.Settings {
		cells = append(cells, []string{s.Key, say.Printable(s.Origin), say.Printable(inTOML(s.Value))})
	}
	return table.Render(w, []string{"KEY", "ORIGIN", "VALUE"}, table.Fit(cells, style), style)
}

// inTOML writes a value as it stands in a file. Between ' an expression stands as it is.
func inTOML(value any) string {
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "'") || strings.ContainsFunc(v, unicode.IsControl) {
			quoted, _ := json.Marshal(v) // TOML has the escapes of JSON
			return string(quoted)
		}
		return "'" + v + "'"
	case []string:
		var items []string
		for _, item := range v {
			items = append(items, inTOML(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(value)
}
