package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/klp-audit/klp-audit/audit"
	"github.com/klp-audit/klp-audit/record"
)

// vexContext names the form of a document, see
// https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md, version 0.2.0.
const vexContext = "https://openvex.dev/ns/v0.2.0"

// vexNamespaces are what scanners put before a package of SUSE's in its purl: SUSE itself
// and the OSV data say suse, Syft and Trivy say sles, after os-release.
var vexNamespaces = []string{"suse", "sles"}

type vexDocument struct {
	Context    string         `json:"@context"`
	ID         string         `json:"@id"`
	Author     string         `json:"author"`
	Role       string         `json:"role"`
	Timestamp  string         `json:"timestamp"`
	Version    int            `json:"version"`
	Tooling    string         `json:"tooling"`
	Statements []vexStatement `json:"statements"`
}

type vexStatement struct {
	Vulnerability struct {
		Name string `json:"name"`
	} `json:"vulnerability"`
	Products []vexProduct `json:"products"`
	// Status is fixed where the running kernel has the fix. Not not_affected with the
	// justification inline_mitigations_already_exist, which the specification keeps for what
	// nobody can disable. Trivy and Grype take both for no finding. affected is what is open,
	// under_investigation what was asked for and is not known.
	Status string `json:"status"`
	Notes  string `json:"status_notes"`
	Action string `json:"action_statement,omitempty"` // what to do about affected
}

type vexProduct struct {
	ID string `json:"@id"`
}

// errNotAsked says that what was asked for is not among what could be stated.
var errNotAsked = errors.New("nothing is known of the numbers that were asked for")

// errNoFixes says that there is nothing to state: a document needs a statement.
var errNoFixes = errors.New("no live patch with fixes was active")

// ErrDistrusted says that no OpenVEX document is made of what was altered or cut: scanners drop
// findings by it, and nobody reads it before.
var ErrDistrusted = errors.New("there is no OpenVEX document of what proves nothing")

// writeVEX writes an OpenVEX document about the kernel package that runs, for scanners see
// its version only and report what its live patch fixes: all of that, or the numbers asked for. The
// same record gives the same document.
func writeVEX(w io.Writer, st *audit.State, exposures []audit.Exposure, asked []string, p *Provenance) error {
	if p.Warning() != "" {
		return ErrDistrusted
	}
	if reason := st.Unknown["live_patch"]; reason != "" {
		return fmt.Errorf("OpenVEX document for %s: the live patch is not known: %s", asOf(st.At), reason)
	}
	if st.LivePatch != nil && st.LivePatch.Transition {
		return fmt.Errorf("OpenVEX document for %s: the load of live patch %s was not complete: some tasks may have run without its fixes", asOf(st.At), st.LivePatch.Module)
	}
	if reason := st.Unknown["cves"]; reason != "" && len(st.CVEs) == 0 {
		return fmt.Errorf("OpenVEX document for %s: what the live patch fixes is not known: %s", asOf(st.At), reason)
	}
	others := othersOf(st, exposures, len(asked) > 0)
	if len(st.CVEs) == 0 && len(others) == 0 {
		return fmt.Errorf("OpenVEX document for %s: %w", asOf(st.At), errNoFixes)
	}
	products, err := vexProducts(st)
	if err != nil {
		return fmt.Errorf("OpenVEX document for %s: %w", asOf(st.At), err)
	}
	d := vexDocument{
		Context: vexContext, ID: fmt.Sprintf("urn:klp-audit:%s:%s:%d", cmp.Or(p.Host.MachineID, "unknown"), *st.BootID, st.At.UnixMicro()),
		Author: p.Host.Hostname, Role: "Host", Timestamp: exactly(&st.At), Version: 1, Tooling: p.Program + " " + p.Version,
	}
	for _, cve := range st.CVEs {
		s := vexStatement{Status: "fixed", Notes: vexNotes(st)}
		s.Vulnerability.Name = cve
		others = append(others, s)
	}
	for _, s := range others {
		if len(asked) == 0 || slices.Contains(asked, s.Vulnerability.Name) {
			s.Products = products
			d.Statements = append(d.Statements, s)
		}
	}
	slices.SortStableFunc(d.Statements, func(a, b vexStatement) int { return audit.CompareCVE(a.Vulnerability.Name, b.Vulnerability.Name) })
	if len(d.Statements) == 0 {
		return fmt.Errorf("OpenVEX document for %s: %w", asOf(st.At), errNotAsked)
	}
	return WriteObject(w, d)
}

// othersOf are the statements about numbers that the active live patch does not fix: what the kernel itself fixes, what
// is open, and, of numbers that were asked for, what is not known.
func othersOf(st *audit.State, exposures []audit.Exposure, asked bool) (list []vexStatement) {
	for _, e := range exposures {
		s := vexStatement{Notes: e.Reason}
		s.Vulnerability.Name = e.CVE
		switch {
		case st.KernelRelease == nil || e.KernelRelease != *st.KernelRelease || slices.Contains(st.CVEs, e.CVE):
			continue
		case e.Status == audit.StatusFixed && e.ByKernel():
			s.Status, s.Notes = "fixed", "Fixed by the running kernel "+e.KernelRelease+" itself."
		case e.Status.Open():
			s.Status, s.Notes, s.Action = "affected", openNotes(&e), vexAction(&e)
			if e.Accepted() {
				s.Notes += " " + numberGrantText(e.Exception) + "."
			}
		case e.Status == audit.StatusUnknown && asked:
			s.Status = "under_investigation"
		default:
			continue
		}
		list = append(list, s)
	}
	return list
}

// openNotes says what is known of an open number.
func openNotes(e *audit.Exposure) string {
	notes := map[audit.ExposureStatus]string{
		audit.StatusAvailable:   "A live patch for the running kernel brings the fix, and is not installed",
		audit.StatusNeedsKernel: "Only a newer kernel brings the fix", audit.StatusInstalled: "The fix is installed, and not active",
		audit.StatusLost: "The fix was taken away again",
	}[e.Status]
	if e.OpenSince != nil {
		notes += "; open since " + exactly(e.OpenSince)
	}
	if e.Inferred {
		notes += "; inferred from an advisory that is about other packages, too"
	}
	return notes + "."
}

// vexAction says what to do about an open number.
func vexAction(e *audit.Exposure) string {
	switch {
	case e.Status == audit.StatusLost && e.OnOffer == nil:
		return "Install and load a live patch that has it; see `klp-audit report cve`."
	case e.Status == audit.StatusLost:
		return "Install it with `zypper patch`."
	case e.Status == audit.StatusInstalled && !e.ByKernel():
		return "Load the live patch, or reboot."
	}
	return e.Reason
}

// vexNotes says what the fix is, and how long it lasts.
func vexNotes(st *audit.State) string {
	lp := st.LivePatch
	notes := fmt.Sprintf("Fixed in the running kernel %s by live patch %s", *st.KernelRelease, lp.Module)
	if lp.Package != nil && lp.Version != nil {
		notes += fmt.Sprintf(" of %s-%s", *lp.Package, *lp.Version)
	}
	i := st.Initrd
	if i == nil {
		return notes + "; whether a reboot keeps it is not known."
	}
	if notes += "; "; i.Basis == record.BasisInferred {
		notes += "most likely "
	}
	switch i.Verdict {
	case record.VerdictContained:
		return notes + "the initrd holds it, so that a reboot keeps it."
	case record.VerdictMissing:
		return notes + "the initrd does not hold it: a reboot loses it."
	}
	return notes + "whether a reboot keeps it is not known."
}

// vexProducts is the package of the running kernel, under each name that scanners use.
func vexProducts(st *audit.State) ([]vexProduct, error) {
	if st.Installed == nil {
		return nil, fmt.Errorf("the package of the running kernel is not known: %s", st.Unknown["installed"])
	}
	var products []vexProduct
	for _, pkg := range st.Installed {
		if !audit.IsKernel(pkg, *st.KernelRelease) {
			continue
		}
		for _, namespace := range vexNamespaces {
			products = append(products, vexProduct{ID: purl(namespace, pkg)})
		}
	}
	if products == nil {
		return nil, fmt.Errorf("no installed package is the running kernel %q", *st.KernelRelease)
	}
	return products, nil
}

// purl is the package URL of an rpm package, see
// https://github.com/package-url/purl-spec/blob/main/types-doc/rpm-definition.md.
func purl(namespace string, p record.Package) string {
	epoch, version, ok := strings.Cut(p.Version, ":")
	if !ok {
		epoch, version = "", p.Version
	}
	text := "pkg:rpm/" + namespace + "/" + escapePURL(p.Name) + "@" + escapePURL(version) + "?arch=" + escapePURL(p.Arch)
	if epoch != "" {
		text += "&epoch=" + escapePURL(epoch)
	}
	return text
}

// escapePURL percent-encodes all but the unreserved characters of RFC 3986.
func escapePURL(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
