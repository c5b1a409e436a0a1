package audit

import (
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/record"
)

// Day returns the first moment of a day.
func Day(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// IsKernel says whether a package is the kernel of a release: that of uname lacks the
// counter of rebuilds, and has the flavour of the package's name after it. A kernel base
// package may have its own release after that, which begins with the number of the product.
func IsKernel(p record.Package, release string) bool {
	i := strings.LastIndexByte(release, '-')
	if i < 0 {
		return false
	}
	name, version := "kernel-"+release[i+1:], release[:i]
	rest, ok := strings.CutPrefix(p.Version, version)
	if !ok || rest != "" && rest[0] != '.' || p.Name != name && p.Name != name+"-base" {
		return false
	}
	counter, own, more := strings.Cut(strings.TrimPrefix(rest, "."), ".")
	product, _, _ := strings.Cut(version[strings.IndexByte(version, '-')+1:], ".")
	return strings.Trim(counter, "0123456789") == "" && (!more || p.Name != name && len(product) >= len("150400") && strings.HasPrefix(own, product+"."))
}
