package report

import (
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/internal/config"
	"github.com/klp-audit/klp-audit/report/table"
)

// hostileConfiguration has values of each type, and what an administrator's file may hold.
var hostileConfiguration = Configuration{
	Schema: ConfigurationSchema,
	Settings: []config.Setting{
		{Key: "profile", Value: "default", Origin: "built in"},
		{Key: "redact", Value: []string{`token=\S+`, "it's \x1b[31m"}, Origin: "/etc/klp-audit/klp-audit.toml:3"},
		{Key: "userdata", Value: false, Origin: "/etc/klp-audit/klp-audit.toml.d/a\x07.toml:1"},
	},
	Problems: []string{},
}

func TestConfiguration(t *testing.T) {
	var b strings.Builder
	if err := Write(&b, &hostileConfiguration, "table", table.Style{Width: 200}); err != nil {
		t.Fatal(err)
	}
	want := `KEY       ORIGIN                                     VALUE
profile   built in                                   'default'
redact    /etc/klp-audit/klp-audit.toml:3            ['token=\S+', "it's \u001b[31m"]
userdata  /etc/klp-audit/klp-audit.toml.d/a?.toml:1  false
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	checkAgainst(t, readSchemas(t), "config-1.json", writtenObject(t, &hostileConfiguration))
}
