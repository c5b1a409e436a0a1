package observe

import (
	"encoding/xml"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rooted"
	"github.com/klp-audit/klp-audit/record"
)

// Activation reads whether the live patching product is installed, and picks the relevant packages
// from the names of the installed ones.
func Activation(root string, installed []string) (record.Entitlement, error) {
	e := record.Entitlement{Products: []record.Product{}, Patterns: []string{}, Lifecycle: []string{}}
	const folder = "/etc/products.d"
	entries, err := rooted.ReadDir(root, folder)
	if err != nil {
		return record.Entitlement{}, err
	}
	for _, entry := range entries {
		// All files are read: a file need not be named after its product.
		if !strings.HasSuffix(entry.Name(), ".prod") {
			continue
		}
		p, err := readProduct(root, path.Join(folder, entry.Name()))
		if err != nil {
			return record.Entitlement{}, err
		}
		switch {
		case strings.HasSuffix(p.Name, "live-patching"):
			e.Products = append(e.Products, p)
		case includesLivePatches(p):
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

// includesLivePatches says whether a product contains live patches itself, as SUSE Linux Enterprise
// 16 and SUSE Linux Micro 6 and later do.
func includesLivePatches(p record.Product) bool {
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

// readProduct reads a product file; it ignores the elements of a codestream inside it.
func readProduct(root, name string) (record.Product, error) {
	text, err := rooted.ReadFile(root, name)
	if err != nil {
		return record.Product{}, err
	}
	var p struct {
		XMLName   xml.Name `xml:"product"`
		Name      string   `xml:"name"`
		Version   string   `xml:"version"`
		EndOfLife string   `xml:"endoflife"`
	}
	if err := xml.Unmarshal([]byte(text), &p); err != nil {
		return record.Product{}, fmt.Errorf("parsing product %q: %w", name, err)
	}
	return record.Product{Name: p.Name, Version: p.Version, EndOfLife: strings.TrimSpace(p.EndOfLife), File: name}, nil
}
