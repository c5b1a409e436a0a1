package releases

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/internal/livepatch"
	"github.com/klp-audit/klp-audit/record"
)

// vendorYear is a vendor that releases a kernel a month with 500 new CVE numbers, and live patches
// for the kernels before it, in five products; and a machine that installs each kernel and keeps
// three.
type vendorYear struct {
	t        testing.TB
	products []string
	texts    map[string][]string // updates, by product
	numbers  []string            // those that the newest kernel fixes
	known    *record.Releases
	count    int // number of updates
}

const (
	keptKernels  = 3
	brought      = 500  // numbers that each kernel fixes in addition to the previous one
	fixedBefore  = 8568 // numbers that the first one fixes, like a kernel of SUSE Linux Enterprise 15 SP6
	patchNumbers = 20   // those that live patches can fix
)

func newVendorYear(t testing.TB) *vendorYear {
	v := &vendorYear{t: t, texts: map[string][]string{}, known: none(), numbers: many(0, fixedBefore)}
	for n := range 5 {
		v.products = append(v.products, fmt.Sprintf("SLE-Product-SLES15-SP%d-LTSS-Updates", n))
	}
	return v
}

func yearKernel(month int) string { return fmt.Sprintf("6.4.0-150600.23.%d.2", 10+5*month) }

func yearPatch(month int) string {
	return fmt.Sprintf("kernel-livepatch-6_4_0-150600_23_%d-default", 10+5*month)
}

// release adds an update to each product, each with its own id.
func (v *vendorYear) release(about, cves string, month int, packages ...string) {
	v.count++
	for n, product := range v.products {
		text := update(fmt.Sprintf("SUSE-SLE-Product-SLES-15-SP%d-LTSS-2025-%d", n, 1000+v.count), "status='stable'", "1", cves, packages...)
		text = strings.Replace(text, "</id>", "</id><title>Security update for the Linux Kernel"+about+"</title><severity>important</severity>", 1)
		at := time.Date(2025, time.Month(month), 10, 9, 0, 0, 0, time.UTC).Unix()
		v.texts[product] = append(v.texts[product], strings.Replace(text, "1715592853", fmt.Sprint(at), 1))
	}
}

// month is one month: what is released, and what the machine's observations write.
func (v *vendorYear) month(month int) (payloads []*record.Release) {
	cves := many(20_000+brought*month, brought)
	inChangelog := slices.Concat(cves[10:], many(90_000+10*month, 10)) // never exactly what the advisory lists
	v.numbers = slices.Sorted(slices.Values(slices.Concat(v.numbers, inChangelog)))
	var packages []string
	for _, name := range []string{"kernel-default", "kernel-default-base", "kernel-default-devel", "kernel-default-livepatch", "kernel-default-livepatch-devel", "kernel-devel", "kernel-docs",
		"kernel-macros", "kernel-obs-build", "kernel-source", "kernel-syms", "kernel-zfcpdump", "cluster-md-kmp-default", "dlm-kmp-default", "gfs2-kmp-default", "ocfs2-kmp-default", "reiserfs-kmp-default"} {
		packages = append(packages, name+" "+yearKernel(month))
	}
	v.release("", strings.Join(cves, " "), month, append(packages, yearPatch(month)+" 1-150600.13.3.1")...)
	for older := max(1, month-keptKernels); older < month; older++ {
		number := month - older + 1
		v.release(fmt.Sprintf(" (Live Patch %d for SLE 15 SP6)", older), strings.Join(cves[:patchNumbers], " "), month, fmt.Sprintf("%s %d-150600.13.%d.1", yearPatch(older), number, 3*number))
	}
	files := map[string]string{}
	for product, texts := range v.texts {
		files[raw+product+"/"+indexFile] = index("repodata/u.xml")
		files[raw+product+"/repodata/u.xml"] = "<updates>" + strings.Join(texts, "\n") + "</updates>"
	}
	k := kernel(yearKernel(month), int64(month), v.numbers)
	k.Release, _ = livepatch.KernelRelease("kernel-default", "6.4.0", strings.TrimPrefix(yearKernel(month), "6.4.0-"))
	k.Oldest = new(record.At(time.Date(2022, time.Month(month), 1, 0, 0, 0, 0, time.UTC)))
	o, err := Read(v.t.Context(), machine(v.t, files), v.installed(month), Before{})
	if err != nil || len(o.Repositories) != len(v.products) {
		v.t.Fatalf("%+v, %v", o, err)
	}
	return News(o, []Kernel{k}, v.known)
}

func (v *vendorYear) installed(month int) (list []record.Package) {
	for m := max(1, month-keptKernels+1); m <= month; m++ {
		list = append(list, record.Package{Name: "kernel-default", Version: yearKernel(m), Arch: "x86_64", Kind: record.PackageKernel, BuildTime: int64(m)},
			record.Package{Name: yearPatch(m), Version: "1-150600.13.3.1", Arch: "x86_64", Kind: record.PackageLivepatch})
	}
	return list
}

// A year of releases lengthens a record by no more than 400 KB, including the first month with
// everything that the first kernel fixes.
func TestSizeOfAYear(t *testing.T) {
	v := newVendorYear(t)
	size, events, lists := 0, 0, 0
	var all []*record.Release
	for month := 1; month <= 12; month++ {
		for _, p := range v.month(month) {
			events++
			lists += len(p.Lists)
			all = append(all, p)
			text, err := json.Marshal(&record.Event{Header: record.Header{
				V: record.EventVersion, Kind: record.KindRelease, ID: "019ca8d5-0000-7000-8000-000000000999", Time: record.At(time.Now()), UTCOffset: "+01:00", BoottimeUS: 1 << 40,
				Host: record.Host{MachineID: strings.Repeat("0", 32), Hostname: "db01.example.com"}, BootID: strings.Repeat("0", 32), Recorder: record.Program{Program: "klp-audit", Version: "1.0.0"},
			}, Release: p})
			if err != nil {
				t.Fatal(err)
			}
			size += len(text)
		}
	}
	t.Logf("%d bytes in %d events with %d lists", size, events, lists)
	if size > 400_000 {
		t.Errorf("%d bytes", size)
	}
	known := after(t, all...)
	newest := known.Kernels[record.KernelInstance{Package: "kernel-default-" + yearKernel(12) + ".x86_64", BuildTime: 12}]
	if got, _ := known.List(newest.CVEs); len(known.Advisories) < 5*12 || len(got) != fixedBefore+12*brought {
		t.Errorf("%d advisories; the newest kernel fixes %d", len(known.Advisories), len(got))
	}
}
