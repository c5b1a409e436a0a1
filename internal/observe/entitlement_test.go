package observe

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klp-audit/klp-audit/record"
)

func TestActivation(t *testing.T) {
	const prod = `<?xml version="1.0" encoding="UTF-8"?>
<product schemeversion="0"><vendor>SUSE</vendor><name>sle-module-live-patching</name><version>15.6</version>
<endoflife>2025-12-31</endoflife><codestream><name>x</name><endoflife>2031-07-31</endoflife></codestream></product>`
	installed := []string{"patterns-sle-live-patching-lp_sles", "patterns-kernel_livepatching", "lifecycle-data-sle-module-live-patching", "lifecycle-data-sle-we", "kernel-default", "patterns-base"}
	names := record.Entitlement{
		Products: []record.Product{}, Patterns: []string{"patterns-sle-live-patching-lp_sles", "patterns-kernel_livepatching"},
		Lifecycle: []string{"lifecycle-data-sle-module-live-patching"},
	}
	full := names
	full.Products = []record.Product{{Name: "sle-module-live-patching", Version: "15.6", EndOfLife: "2025-12-31", File: "/etc/products.d/lp.prod"}}
	for name, tt := range map[string]struct {
		files map[string]string
		want  record.Entitlement
		err   string
	}{
		"product":          {files: map[string]string{"etc/products.d/lp.prod": prod, "etc/products.d/x": "no"}, want: full},
		"other product":    {files: map[string]string{"etc/products.d/SLES.prod": "<product><name>SLES</name></product>"}, want: names},
		"no folder":        {err: "products.d: no such file"},
		"not a product":    {files: map[string]string{"etc/products.d/a.prod": "<x/>"}, err: `parsing product "/etc/products.d/a.prod"`},
		"binary":           {files: map[string]string{"etc/products.d/a.prod": "\x7fELF\x00"}, err: `parsing product "/etc/products.d/a.prod"`},
		"folder in place":  {files: map[string]string{"etc/products.d/a.prod/x": ""}, err: "not a regular file"},
		"deeply nested":    {files: map[string]string{"etc/products.d/a.prod": strings.Repeat("<product>", 20000)}, err: "parsing product"},
		"endless entities": {files: map[string]string{"etc/products.d/a.prod": `<!DOCTYPE x [<!ENTITY a "b">]><product><name>&a;</name></product>`}, err: "parsing product"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Activation(machine(t, tt.files), installed)
			want(t, got, err, tt.want, tt.err)
		})
	}
}

// Some products contain live patches in their own repositories.
func TestActivationOfProductsThatIncludeLivePatches(t *testing.T) {
	for product, includes := range map[string]bool{
		"SLES 16.0": true, "SLES_SAP 16.1": true, "SLES 17": true, "SL-Micro 6.0": true, "SL-Micro 6.2": true,
		"SLES 15.7": false, "SLES 12.5": false, "SLE-Micro 5.5": false, "SUSE-MicroOS 5.1": false, "Leap 16.0": false, "sle-module-basesystem 15.6": false,
		"SLES x": false, "SLES ": false,
	} {
		name, version, _ := strings.Cut(product, " ")
		got, err := Activation(machine(t, map[string]string{
			"etc/products.d/base.prod": "<product><name>" + name + "</name><version>" + version + "</version></product>",
		}), nil)
		if err != nil || (len(got.Included) == 1) != includes || includes && got.Included[0].Name != name {
			t.Errorf("%s: %+v, %v", product, got.Included, err)
		}
	}
}

// A baseproduct link is not a product of its own, and a FIFO must not block.
func TestActivationOfAnOddFolder(t *testing.T) {
	root := machine(t, map[string]string{"etc/products.d/x": ""})
	if err := syscall.Mkfifo(filepath.Join(root, "etc/products.d/a.prod"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Activation(root, nil)
	want(t, got, err, record.Entitlement{}, "not a regular file")
}
