package observe

import (
	"encoding/xml"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Entitlement is what makes a system one that gets live patches. Each part may be missing.
type Entitlement struct {
	Products  []Product `json:"products"`           // SUSE Linux Enterprise 12 and 15
	Included  []Product `json:"included,omitempty"` // products that have live patches in their own repositories
	Patterns  []string  `json:"patterns"`           // packages of the patterns lp_sles and kernel_livepatching
	Lifecycle []string  `json:"lifecycle"`          // packages with the lifecycle data
}

// Product is an installed product.
type Product struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	EndOfLife string `json:"endoflife"` // YYYY-MM-DD; empty: not given
	File      string `json:"file"`
}

// Activation reads whether the live patching product is there, and picks the packages that
// matter from the names of the installed ones.
func Activation(root string, installed []string) (Entitlement, error) {
	e := Entitlement{Products: []Product{}, Patterns: []string{}, Lifecycle: []string{}}
	const folder = "/etc/products.d"
	entries, err := rooted.ReadDir(root, folder)
	if err != nil {
		return Entitlement{}, err
	}
	for _, entry := range entries {
		// All are read: the name of a file need not be that of its product.
		if !strings.HasSuffix(entry.Name(), ".prod") {
			continue
		}
		p, err := readProduct(root, path.Join(folder, entry.Name()))
		if err != nil {
			return Entitlement{}, err
		}
		switch {
		case strings.HasSuffix(p.Name, "live-patching"):
			e.Products = append(e.Products, p)
		case p.includesLivePatches():
			e.Included = append(e.Included, p)
		}
	}
	for _, name := range installed {
		switch {
		case strings.HasPrefix(name, "patterns-") && (strings.HasSuffix(name, "lp_sles") || strings.HasSuffix(name, "kernel_livepatching")):
			e.Patterns = append(e.Patterns, name)
		case strings.HasPrefix(name, "lifecycle-data-") && strings.Contains(name, "live-patching"):
			e.Lifecycle = append(e.Lifecycle, name)
		}
	}
	return e, nil
}

// includesLivePatches says whether a product needs no other one for live patches: that is so
// since SUSE Linux Enterprise 16 and SUSE Linux Micro 6.
func (p Product) includesLivePatches() bool {
	major, _, _ := strings.Cut(p.Version, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err != nil:
		return false
	case p.Name == "SL-Micro":
		return n >= 6
	}
	return n >= 16 && strings.HasPrefix(p.Name, "SLE")
}

// readProduct reads a product file; the elements of a codestream within it are not meant.
func readProduct(root, name string) (Product, error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return Product{}, err
	}
	var p struct {
		XMLName   xml.Name `xml:"product"`
		Name      string   `xml:"name"`
		Version   string   `xml:"version"`
		EndOfLife string   `xml:"endoflife"`
	}
	if err := xml.Unmarshal([]byte(text), &p); err != nil {
		return Product{}, fmt.Errorf("parsing product %q: %w", name, err)
	}
	return Product{p.Name, p.Version, strings.TrimSpace(p.EndOfLife), name}, nil
}
