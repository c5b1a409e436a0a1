package releases

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// SUSE Manager writes its own updateinfo: other ids, dates as text without a zone, which tell only
// the day, no status, and packages of several kernels in one notice.
func TestUpdateInfoOfSUSEManager(t *testing.T) {
	const text = `<?xml version="1.0" encoding="UTF-8"?><updates>
<update from="maint-coord@suse.de" type="security" version="1"><id>SUSE-15-SP6-2024-2802</id><title>important: Security update for the Linux Kernel</title>
<issued date="2024-08-06 13:29:01"/><updated date="2024-08-06 13:29:01"/><description/>
<references><reference href="http://cve.mitre.org/cgi-bin/cvename.cgi?name=CVE-2024-26923" id="CVE-2024-26923" type="cve"/><reference href="https://bugzilla.suse.com/1" id="1" type="bugzilla"/></references>
<pkglist><collection><name>sle-module-live-patching15-sp6-updates-x86_64</name>
<package name="` + pkg12 + `" version="2" release="150600.13.6.1" epoch="0" arch="x86_64"><filename>a.rpm</filename><sum type="sha256">0</sum></package>
<package name="` + pkg21 + `" version="2" release="150600.13.6.1" epoch="0" arch="x86_64"><filename>b.rpm</filename></package>
</collection></pkglist></update></updates>`
	o := read(t, machine(t, map[string]string{raw + "a/" + indexFile: index("repodata/u.xml.gz"), raw + "a/repodata/u.xml.gz": pack(t, ".gz", text)}))
	want := []string{`a SUSE-15-SP6-2024-2802 security// "important: Security update for the Linux Kernel" 2024-08-06T00:00:00Z true: ` +
		pkg12 + ` 2-150600.13.6.1, ` + pkg21 + ` 2-150600.13.6.1; CVE-2024-26923`}
	if diff := cmp.Diff(want, told(o.Advisories)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A PTF is a kernel of the same package name with its own version. The patterns that combine PTFs
// are ignored.
func TestPTFs(t *testing.T) {
	o := read(t, machine(t, updates(
		update("PTF", "", "1", "", "kernel-default 6.4.0-150600.21.2.1.ptf.1234567", "ptf-1234567 1-1"),
		update("PTF-OLD", "", "1", "", "kernel-default 6.4.0-150600.11.1.1.ptf.1234"),
		update("PTF-ONLY", "", "1", "", "ptf-7654321 1-1"),
	)))
	want := []string{`a PTF security// "" 2024-05-13T09:34:13Z false: kernel-default 6.4.0-150600.21.2.1.ptf.1234567; `}
	if diff := cmp.Diff(want, told(o.Advisories)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// An advisory for several products, with an id for each, is kept for each of them, but its lists
// only once.
func TestSameAdvisoryInFiveProducts(t *testing.T) {
	files := map[string]string{}
	for _, product := range []string{"A", "B", "C", "D", "E"} {
		files[raw+product+"/"+indexFile] = index("repodata/u.xml.zst")
		files[raw+product+"/repodata/u.xml.zst"] = pack(t, ".zst", "<updates>"+update("SUSE-"+product+"-2024-1", "status='stable'", "1", "CVE-2024-1 CVE-2024-2", pkg12+" 2-1")+"</updates>")
	}
	o := read(t, machine(t, files))
	news := News(o, nil, none())
	if len(o.Advisories) != 5 || len(news) != 1 || len(news[0].Advisories) != 5 || len(news[0].Lists) != 2 {
		t.Errorf("%q\n%+v", told(o.Advisories), news)
	}
}
