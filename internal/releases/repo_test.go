package releases

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/klp-audit/klp-audit/internal/rooted/rootedtest"
	"github.com/klp-audit/klp-audit/record"
)

const (
	pkg12, pkg21 = "kernel-livepatch-6_4_0-150600_12-default", "kernel-livepatch-6_4_0-150600_21-default"

	sample = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
 <update from="maint@example.com" status="stable" type="security" version="1">
  <id>SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234</id><title>Security update</title>
  <issued date="1715592853"/>
  <references><reference type="cve" id="CVE-2024-26923" href="x" title="y"><id>not it</id></reference></references>
  <description>A &lt;package name="x"&gt; <![CDATA[<issued date="1"/>]]></description>
  <pkglist><collection>
   <package name="` + pkg12 + `" epoch="0" version="2" release="150600.13.6.1" arch="x86_64" src="x"><filename>x</filename></package>
   <package name="` + pkg12 + `" epoch="0" version="2" release="150600.13.6.1" arch="s390x"/>
   <package name="` + pkg21 + `" epoch="1" version="1" release="150600.1.1" arch="x86_64"/>
   <package name="kernel-livepatch-tools" epoch="0" version="1" release="1" arch="x86_64"/>
  </collection></pkglist>
 </update>
 <update type="recommended"><id>LATER</id><issued date="1718271253"/><pkglist><collection>
   <package name="` + pkg12 + `" epoch="0" version="2" release="150600.13.6.1" arch="x86_64"/></collection></pkglist></update>
 <update type="security"><id>OTHER</id><issued date="2024-06-14 10:00:00"/><pkglist><collection>
   <package name="bash" version="5" release="1"/></collection></pkglist></update>
 <update type="security"><id>UNDATED</id><issued date="99999999999999"/><pkglist><collection>
   <package name="` + pkg21 + `" version="3" release="1"/></collection></pkglist></update>
</updates>
`
)

func index(href string) string {
	return `<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location href="repodata/p.xml"/></data>` +
		`<data type="updateinfo"><location href="` + href + `"/></data></repomd>`
}

// pack compresses by the suffix of a name.
func pack(t testing.TB, name, text string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch filepath.Ext(name) {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return text
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const raw = "var/cache/zypp/raw/"

// machine has these files, and for each folder of its cache a repository in libzypp's
// configuration.
func machine(t testing.TB, files map[string]string) string {
	t.Helper()
	repos := map[string]bool{}
	for name := range files {
		if rest, ok := strings.CutPrefix(name, raw); ok {
			alias, _, _ := strings.Cut(rest, "/")
			repos[alias] = true
		}
	}
	all := maps.Clone(files)
	if _, has := files["etc/zypp/repos.d/all.repo"]; !has {
		var text strings.Builder
		for _, alias := range slices.Sorted(maps.Keys(repos)) {
			fmt.Fprintf(&text, "[%s]\nenabled=1\n", alias)
		}
		all["etc/zypp/repos.d/all.repo"] = text.String()
	}
	all["etc/zypp/zypp.conf"] = "[main]\n"
	return rootedtest.Tree(t, all)
}

// installed are kernels 150600.12 and 150600.21, and the live patch of the first.
var installed = []record.Package{
	{Name: "kernel-default", Version: "6.4.0-150600.12.1", Arch: "x86_64", Kind: record.PackageKernel, BuildTime: 1},
	{Name: "kernel-default", Version: "6.4.0-150600.21.2", Arch: "x86_64", Kind: record.PackageKernel, BuildTime: 2},
	{Name: pkg12, Version: "1-150600.13.3.1", Arch: "x86_64", Kind: record.PackageLivepatch},
}

func read(t testing.TB, root string) *Offer {
	t.Helper()
	o, err := Read(t.Context(), root, installed, Before{})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range o.Repositories { // the time when the test wrote them
		if r.Refreshed != nil {
			o.Repositories[i].Refreshed = &record.Timestamp{}
		}
	}
	return o
}

// told are advisories with their lists, one on a line.
func told(list []Advisory) (lines []string) {
	for _, a := range list {
		at := "undated"
		if a.Issued != nil {
			at = a.Issued.Format(time.RFC3339)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s/%s/%s %q %s %v: %s; %s", a.Repo, a.ID, a.Type, a.Severity, a.Status, a.Title, at, a.DayOnly,
			strings.Join(a.packages, ", "), strings.Join(a.cves, " ")))
	}
	return lines
}

func TestRead(t *testing.T) {
	want := []string{
		`Updates for SLE LATER recommended// "" 2024-06-13T09:34:13Z false: ` + pkg12 + ` 2-150600.13.6.1; `,
		`Updates for SLE SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234 security//stable "Security update" 2024-05-13T09:34:13Z false: ` +
			pkg12 + ` 2-150600.13.6.1, ` + pkg21 + ` 1:1-150600.1.1; CVE-2024-26923`,
		`Updates for SLE UNDATED security// "" undated false: ` + pkg21 + ` 3-1; `,
	}
	for _, suffix := range []string{".xml", ".xml.gz", ".xml.xz", ".xml.zst"} {
		href := "repodata/abc-updateinfo" + suffix
		o := read(t, machine(t, map[string]string{
			raw + "Updates for SLE/repodata/repomd.xml": index(href), raw + "Updates for SLE/" + href: pack(t, href, sample),
			raw + "plain/x": "", raw + "pool/repodata/repomd.xml": "<repomd/>",
		}))
		if diff := cmp.Diff(want, told(o.Advisories)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", suffix, diff)
		}
		repos := record.Repositories{{Alias: "Updates for SLE", Offers: true, Refreshed: &record.Timestamp{}, Newest: "2024-06-14"}, {Alias: "plain"}}
		if diff := cmp.Diff(repos, o.Repositories); diff != "" {
			t.Errorf("%s: repositories (-want +got)\n%s", suffix, diff)
		}
	}
	if _, err := Read(t.Context(), t.TempDir(), nil, Before{}); err == nil || !strings.Contains(err.Error(), "zypp") {
		t.Errorf("got %v", err)
	}
}

// A repository that had advisories, and has none now, is still enabled.
func TestSilentRepositoryIsNotGone(t *testing.T) {
	root := machine(t, map[string]string{raw + "a/repodata/repomd.xml": index("repodata/u.xml"), raw + "a/repodata/u.xml": "<updates/>"})
	known := record.NewReleases([]record.ReleaseRow{
		{Release: &record.Release{Advisories: []record.Released{{Repo: "a", ID: "OLD"}}}},
		{Release: &record.Release{Withdrawn: []record.AdvisoryKey{{Repo: "a", ID: "OLD"}}}},
	})
	for want, before := range map[int]Before{0: {Known: record.NewReleases(nil)}, 1: {Known: known}} {
		o, err := Read(t.Context(), root, nil, before)
		if err != nil {
			t.Fatal(err)
		}
		listed := slices.DeleteFunc(slices.Clone(o.Repositories), func(r record.Repository) bool { return r.Alias != "a" })
		if len(listed) != want || want == 1 && (listed[0].Offers || listed[0].Refreshed == nil || listed[0].Problem != "") {
			t.Errorf("%+v, want %d", listed, want)
		}
	}
}

func update(id, attributes, version string, cves string, packages ...string) string {
	text := `<update type="security" ` + attributes + ` version="` + version + `"><id>` + id + `</id><issued date="1715592853"/><references>`
	for _, number := range strings.Fields(cves) {
		text += `<reference type="cve" id="` + number + `"/>`
	}
	text += `</references><pkglist><collection>`
	for _, p := range packages {
		name, evr, _ := strings.Cut(p, " ")
		v, r, _ := strings.Cut(evr, "-")
		text += `<package name="` + name + `" version="` + v + `" release="` + r + `"/>`
	}
	return text + `</collection></pkglist></update>`
}

func updates(list ...string) map[string]string {
	return map[string]string{raw + "a/repodata/repomd.xml": index("repodata/u.xml"), raw + "a/repodata/u.xml": "<updates>" + strings.Join(list, "\n") + "</updates>"}
}

// Kernels older than all installed ones, kernels of other names, and live patches for kernels that
// are not installed do not matter; an advisory that matters is kept with everything it brings. The
// newest form of an advisory counts, and its updates for several architectures are combined.
func TestWhatMatters(t *testing.T) {
	o := read(t, machine(t, updates(
		update("OLD", "", "1", "CVE-2024-1", "kernel-default 6.4.0-150600.11.1"),
		update("SAME", "", "1", "CVE-2024-3 CVE-2024-2 no-number", "kernel-default 6.4.0-150600.12.1", "kernel-source 6.4.0-150600.12.1", "kernel-azure 6.4.0-150600.12.1"),
		update("OTHER", "", "1", "CVE-2024-4", "kernel-rt 6.4.0-150600.99.1", "kernel-livepatch-6_4_0-150600_99-rt 1-1"),
		update("NEW", "", "1", "CVE-2024-5", "kernel-default 6.4.0-150600.99.1", "kernel-livepatch-6_4_0-150600_99-default 1-1"),
		update("TWICE", "status='stable'", "1", "CVE-2024-6", pkg12+" 2-1"),
		update("TWICE", "status='stable'", "1", "CVE-2024-6 CVE-2024-7", pkg21+" 2-1"),
		update("AGAIN", "status='stable'", "1", "CVE-2024-8", pkg12+" 2-1"),
		update("AGAIN", "status='retracted'", "2", "CVE-2024-8", pkg12+" 2-1"),
		update("AGAIN", "status='stable'", "1", "CVE-2024-9", pkg12+" 3-1"),
	)))
	want := []string{
		`a AGAIN security//retracted "" 2024-05-13T09:34:13Z false: ` + pkg12 + ` 2-1; CVE-2024-8`,
		`a NEW security// "" 2024-05-13T09:34:13Z false: kernel-default 6.4.0-150600.99.1, kernel-livepatch-6_4_0-150600_99-default 1-1; CVE-2024-5`,
		`a SAME security// "" 2024-05-13T09:34:13Z false: kernel-azure 6.4.0-150600.12.1, kernel-default 6.4.0-150600.12.1; CVE-2024-2 CVE-2024-3`,
		`a TWICE security//stable "" 2024-05-13T09:34:13Z false: ` + pkg12 + ` 2-1, ` + pkg21 + ` 2-1; CVE-2024-6 CVE-2024-7`,
	}
	if diff := cmp.Diff(want, told(o.Advisories)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Disabled repositories offer nothing, and libzypp's settings say where its cache is.
func TestRepositoriesOfOtherForms(t *testing.T) {
	files := updates(update("A", "", "1", "", pkg12+" 2-1"))
	files["etc/zypp/repos.d/all.repo"] = "[a]\nenabled=0\n[b/c]\n"
	files[raw+"b_c/repodata/repomd.xml"] = index("repodata/u.xml")
	files[raw+"b_c/repodata/u.xml"] = "<updates>" + update("B", "", "1", "", pkg12+" 2-1") + "</updates>"
	o := read(t, machine(t, files))
	if len(o.Advisories) != 1 || o.Advisories[0].Key() != (record.AdvisoryKey{Repo: "b/c", ID: "B"}) {
		t.Errorf("got %q", told(o.Advisories))
	}
}

// xzHeader is the start of an xz file whose block has a filter and a dictionary size.
func xzHeader(flags byte, fields ...byte) string {
	header := append([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02"), flags)
	return string(append(append(header, fields...), make([]byte, 16)...))
}

func TestDamagedRepositories(t *testing.T) {
	const repo, info = raw + "r/", "repodata/updateinfo"
	for name, tt := range map[string]struct{ href, text, problem string }{
		"no such file":      {"repodata/none.xml.gz", "", "none.xml.gz: no such file"},
		"outside":           {"../../../../etc/shadow", "", "is not a path in the repository"},
		"absolute":          {"/etc/shadow", "", "is not a path in the repository"},
		"zchunk":            {info + ".xml.zck", "", "unexpected EOF"},
		"not gzip":          {info + ".xml.gz", "x", "reading"},
		"not xz":            {info + ".xml.xz", strings.Repeat("x", 50), "xz"},
		"short xz":          {info + ".xml.xz", "\xfd7zXZ", "reading"},
		"short xz header":   {info + ".xml.xz", "\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\xff\x00", "EOF"},
		"xz with a filter":  {info + ".xml.xz", xzHeader(0, 0x04, 0), "not one plain LZMA2 filter"},
		"xz with much":      {info + ".xml.xz", xzHeader(0xc0, 0x80, 0x01, 0x7f, 0x21, 1, 40), "xz: needs 4095 MiB to unpack"},
		"not zstd":          {info + ".xml.zst", "xxxxxxxx", "reading"},
		"truncated":         {info + ".xml", sample[:len(sample)-30], "unexpected EOF"},
		"binary":            {info + ".xml", "\x00\x01<", "reading"},
		"an end too many":   {info + ".xml", "<updates/></b>", `element "b" ends without a start`},
		"nested too deeply": {info + ".xml", strings.Repeat("<updates>", 100), "nested too deeply"},
		"a long id":         {info + ".xml", "<updates><update><id>" + strings.Repeat("x", 2000) + "</id>kernel-livepatch-</update>", "larger than klp-audit reads"},
		"a long version":    {info + ".xml", `<updates><update><id>A</id><package name="` + pkg12 + `" version="` + strings.Repeat("1", 2000) + `" release="1"/></update>`, `advisory "A": attribute "version": larger`},
		"an endless update": {info + ".xml.gz", "<updates><update>" + strings.Repeat(" ", 17<<20), "larger than klp-audit reads"},
	} {
		t.Run(name, func(t *testing.T) {
			text := tt.text
			if name == "an endless update" {
				text = pack(t, tt.href, text)
			}
			files := map[string]string{repo + "repodata/repomd.xml": index(tt.href), repo + info + filepath.Ext(tt.href): ""}
			if strings.HasPrefix(tt.href, info) {
				files[repo+tt.href] = text
			}
			got := read(t, machine(t, files)).Repositories
			if len(got) != 1 || !strings.Contains(got[0].Problem, tt.problem) {
				t.Errorf("got %+v, want %q", got, tt.problem)
			}
		})
	}
}

func TestOddIndex(t *testing.T) {
	root := machine(t, map[string]string{"var/cache/zypp/raw/a/repodata/repomd.xml": "<repomd", "var/cache/zypp/raw/b/repodata/x": ""})
	if err := syscall.Mkfifo(filepath.Join(root, "var/cache/zypp/raw/b/repodata/repomd.xml"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := read(t, root).Repositories
	if len(got) != 2 || !strings.Contains(got[0].Problem, "parsing") || !strings.Contains(got[1].Problem, "not a regular file") {
		t.Errorf("got %+v", got)
	}
}

func TestReadWithoutTime(t *testing.T) {
	root := machine(t, updates(sample))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := Read(ctx, root, installed, Before{})
	if err != nil || !strings.Contains(got.Repositories[0].Problem, `u.xml": context canceled`) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	text.WriteString("<updates>")
	for i := range 3000 {
		fmt.Fprintf(&text, `<update type="security"><id>ID-%d</id><issued date="1715592853"/><description>%s</description><pkglist><collection>`, i, strings.Repeat("A sentence of it.\n", 200))
		for j := range 40 {
			fmt.Fprintf(&text, `<package name="package-%d" epoch="0" version="1" release="150600.1.%d" arch="x86_64" src="package-1.src.rpm"><filename>package-%d-1.x86_64.rpm</filename></package>`, j, i, j)
		}
		text.WriteString("</collection></pkglist></update>")
	}
	text.WriteString("</updates>")
	b.SetBytes(int64(text.Len()))
	root := machine(b, map[string]string{raw + "r/repodata/repomd.xml": index("repodata/u.xml.gz"), raw + "r/repodata/u.xml.gz": pack(b, ".gz", text.String())})
	for b.Loop() {
		if got, err := Read(b.Context(), root, installed, Before{}); err != nil || len(got.ids) == 0 {
			b.Fatal(got, err)
		}
	}
}
