package observe

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

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

func issuedAt(unix int64) *time.Time { return new(time.Unix(unix, 0).UTC()) }

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

func TestAdvisories(t *testing.T) {
	all := []record.LivePatchAdvisory{
		{Package: pkg12, Version: "2-150600.13.6.1", Advisory: "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234", Type: "security", Issued: issuedAt(1715592853), DayOnly: false},
		{Package: pkg21, Version: "1:1-150600.1.1", Advisory: "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234", Type: "security", Issued: issuedAt(1715592853), DayOnly: false},
		{Package: pkg21, Version: "3-1", Advisory: "UNDATED", Type: "security", Issued: nil, DayOnly: false},
	}
	newest := new(time.Date(2024, 6, 14, 0, 0, 0, 0, time.UTC)) // the text has no zone
	for _, suffix := range []string{".xml", ".xml.gz", ".xml.xz", ".xml.zst"} {
		href := "repodata/abc-updateinfo" + suffix
		root := machine(t, map[string]string{
			"var/cache/zypp/raw/Updates for SLE/repodata/repomd.xml": index(href), "var/cache/zypp/raw/Updates for SLE/" + href: pack(t, href, sample),
			"var/cache/zypp/raw/plain/x": "", "var/cache/zypp/raw/file": "", "var/cache/zypp/raw/pool/repodata/repomd.xml": "<repomd/>",
		})
		got, err := Advisories(t.Context(), root)
		want(t, got, err, record.Advisories{
			{Repo: "Updates for SLE", File: "/var/cache/zypp/raw/Updates for SLE/" + href, Newest: newest, Security: 2, LivePatches: all},
			{Repo: "plain", LivePatches: []record.LivePatchAdvisory{}}, {Repo: "pool", LivePatches: []record.LivePatchAdvisory{}},
		}, "")
		got, err = Advisories(t.Context(), root, pkg12, "other")
		want(t, got[:1], err, record.Advisories{
			{Repo: "Updates for SLE", File: "/var/cache/zypp/raw/Updates for SLE/" + href, Newest: newest, Security: 2, LivePatches: all[:1]},
		}, "")
	}
	if _, err := Advisories(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "var/cache/zypp/raw") {
		t.Errorf("got %v", err)
	}
}

// A retracted advisory brings nothing, and is not forgotten.
func TestRetractedAdvisories(t *testing.T) {
	update := func(status, id, date, version string) string {
		return `<update status="` + status + `" type="security"><id>` + id + `</id><issued date="` + date + `"/><pkglist><collection>` +
			`<package name="` + pkg12 + `" version="` + version + `" release="1"/></collection></pkglist></update>`
	}
	root := machine(t, map[string]string{
		"var/cache/zypp/raw/a/repodata/repomd.xml": index("repodata/u.xml"),
		"var/cache/zypp/raw/a/repodata/u.xml": "<updates>" + update("retracted", "BAD", "1715592000", "2") + update("stable", "GOOD", "1715592853", "2") +
			update("retracted", "WORSE", "1715592001", "3") + "</updates>",
	})
	got, err := Advisories(t.Context(), root)
	want(t, got, err, record.Advisories{{
		Repo: "a", File: "/var/cache/zypp/raw/a/repodata/u.xml", Newest: issuedAt(1715592853), Security: 1,
		LivePatches: []record.LivePatchAdvisory{{Package: pkg12, Version: "2-1", Advisory: "GOOD", Type: "security", Issued: issuedAt(1715592853), DayOnly: false}},
		Retracted: []record.LivePatchAdvisory{
			{Package: pkg12, Version: "2-1", Advisory: "BAD", Type: "security", Issued: issuedAt(1715592000), DayOnly: false}, {Package: pkg12, Version: "3-1", Advisory: "WORSE", Type: "security", Issued: issuedAt(1715592001), DayOnly: false},
		},
	}}, "")
}

// xzHeader is the start of an xz file whose block has a filter and a size of dictionary.
func xzHeader(flags byte, fields ...byte) string {
	header := append([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02"), flags)
	return string(append(append(header, fields...), make([]byte, 16)...))
}

func TestAdvisoriesOfDamagedRepositories(t *testing.T) {
	const repo, info = "var/cache/zypp/raw/r/", "repodata/updateinfo"
	for name, tt := range map[string]struct{ href, text, problem string }{
		"no such file":      {"repodata/none.xml.gz", "", "none.xml.gz: no such file"},
		"outside":           {"../../../../etc/shadow", "", "is no place in the repository"},
		"absolute":          {"/etc/shadow", "", "is no place in the repository"},
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
		"a long id":         {info + ".xml", "<updates><update><id>" + strings.Repeat("x", 2000) + "</id>kernel-livepatch-</update>", "larger than is read"},
		"a long version":    {info + ".xml", `<updates><update><id>A</id><package name="` + pkg12 + `" version="` + strings.Repeat("1", 2000) + `" release="1"/></update>`, `advisory "A": attribute "version": larger`},
		"an endless update": {info + ".xml.gz", "<updates><update>" + strings.Repeat(" ", 17<<20), "larger than is read"},
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
			got, err := Advisories(t.Context(), machine(t, files))
			if err != nil || len(got) != 1 || !strings.Contains(got[0].Problem, tt.problem) {
				t.Errorf("got %+v, %v, want %q", got, err, tt.problem)
			}
		})
	}
}

func TestAdvisoriesOfAnOddIndex(t *testing.T) {
	root := machine(t, map[string]string{"var/cache/zypp/raw/a/repodata/repomd.xml": "<repomd", "var/cache/zypp/raw/b/repodata/x": ""})
	if err := syscall.Mkfifo(filepath.Join(root, "var/cache/zypp/raw/b/repodata/repomd.xml"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Advisories(t.Context(), root)
	if err != nil || len(got) != 2 || !strings.Contains(got[0].Problem, "parsing") || !strings.Contains(got[1].Problem, "not a regular file") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAdvisoriesWithoutTime(t *testing.T) {
	const repo = "var/cache/zypp/raw/r/repodata/"
	root := machine(t, map[string]string{repo + "repomd.xml": index("repodata/u.xml"), repo + "u.xml": sample})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got, err := Advisories(ctx, root)
	if err != nil || !strings.Contains(got[0].Problem, `u.xml": context canceled`) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func BenchmarkAdvisories(b *testing.B) {
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
	root := b.TempDir()
	dir := filepath.Join(root, "var/cache/zypp/raw/r/repodata")
	err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "repomd.xml"), []byte(index("repodata/u.xml.gz")), 0o644),
		os.WriteFile(filepath.Join(dir, "u.xml.gz"), []byte(pack(b, ".gz", text.String())), 0o644))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if got, err := Advisories(b.Context(), root); err != nil || got[0].Newest == nil {
			b.Fatal(got, err)
		}
	}
}
