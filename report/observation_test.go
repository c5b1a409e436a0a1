package report

import (
	"bytes"
	"strings"
	"testing"

	"github.com/klp-audit/klp-audit/store/storetest"
)

// A live patch is of no installed package only where the packages could be read.
func TestPackageOfALivePatch(t *testing.T) {
	m := storetest.Healthy(t)
	o := m.Last()
	o.LivePatch.Package = nil
	if text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{o}, "table", Style{}) }); !strings.Contains(text, " of no installed package") {
		t.Errorf("the packages are known: %s", text)
	}
	o.Installed, o.Unknown["installed"] = nil, "rpm failed"
	if text := written(t, func(b *bytes.Buffer) error { return Write(b, &Machine{o}, "table", Style{}) }); strings.Contains(text, "no installed package") || !strings.Contains(text, " of a package that is not known") {
		t.Errorf("the packages are not known: %s", text)
	}
}
