package updateinfo

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const sample = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
 <update from="maint@example.com" status="stable" type="security" version="1">
  <id>SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234</id><title>Security update for the Linux Kernel
(Live Patch 0 for SLE 15 SP6)</title><severity>important</severity>
  <issued date="1715592853"/>
  <references><reference type="cve" id="CVE-2024-26923" href="x" title="y"><id>not it</id></reference>
  <reference href="https://bugzilla.example.com/1" id="1" title="bug" type="bugzilla"/><reference type='cve' id='CVE-2024-1&#48;00'/></references>
  <description>A &lt;package name="x"&gt; <![CDATA[<issued date="1"/></update>]]></description>
  <pkglist><collection>
   <package name="kernel-livepatch-6_4_0-150600_12-default" epoch="0" version="2" release="150600.13.6.1" arch="x86_64" src="a>b"><filename>x</filename></package>
   <package name="kernel-livepatch-6_4_0-150600_21-default" epoch="1" version="1" release="150600.1.1" arch="x86_64"/>
  </collection></pkglist>
 </update>
 <!-- <update> that is none -->
 <update type="recommended" status="final"><id>LATER</id><issued date="1718271253"/><pkglist><collection>
   <package name="kernel-default" version="6.4.0" release="150600.21.2" arch="x86_64"/></collection></pkglist></update>
 <update type="security" status="retracted"><id>OTHER</id><issued date="2024-06-14 10:00:00"/><pkglist><collection>
   <package name="bash" version="5" release="1"/></collection></pkglist></update>
</updates>
`

func readAll(r io.Reader, words ...string) (list []Advisory, newest Newest, err error) {
	newest, err = Read(context.Background(), r, words, func(a Advisory) error { list = append(list, a); return nil })
	return list, newest, err
}

func TestRead(t *testing.T) {
	at := func(unix int64) *time.Time { return new(time.Unix(unix, 0).UTC()) }
	want := []Advisory{
		{
			ID: "SUSE-SLE-Module-Live-Patching-15-SP6-2024-1234", Version: "1", Type: "security", Status: "stable", Severity: "important",
			Title: "Security update for the Linux Kernel\n(Live Patch 0 for SLE 15 SP6)", Issued: at(1715592853),
			Packages: []Package{{"kernel-livepatch-6_4_0-150600_12-default", "2-150600.13.6.1"}, {"kernel-livepatch-6_4_0-150600_21-default", "1:1-150600.1.1"}},
			CVEs:     []string{"CVE-2024-26923", "CVE-2024-1000"},
		},
		{ID: "LATER", Type: "recommended", Status: "final", Issued: at(1718271253), Packages: []Package{{"kernel-default", "6.4.0-150600.21.2"}}},
	}
	wantNewest := Newest{new(time.Date(2024, 6, 14, 0, 0, 0, 0, time.UTC)), true}
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(sample), "byte by byte": iotest.OneByteReader(strings.NewReader(sample)),
		"with an end": iotest.DataErrReader(strings.NewReader(sample)),
	} {
		got, newest, err := readAll(r, "kernel-")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if diff := cmp.Diff(wantNewest, newest); diff != "" {
			t.Errorf("%s: newest (-want +got)\n%s", name, diff)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "unexpected EOF",
		"<updates>":                            "unexpected EOF",
		"<updates><update><id>a</id></update>": "unexpected EOF",
		"<repomd></repomd>":                    `"repomd" is not an updateinfo`,
		"<updates></updates></x>":              `element "x" ends without a start: not well-formed`,
		"<!DOCTYPE x><updates></updates>":      "a document type is not read",
		"<updates><update kernel x=y></update></updates>":                                      `advisory "": attributes "kernel x=y": not well-formed`,
		"<updates><update><id>a&b</id>kernel</update></updates>":                               `advisory "": reference "&b": not well-formed`,
		"<updates><update><id>a</id><package name='kernel-default'/></update></updates>":       `advisory "a": a package without a name or a version`,
		"<updates><update><id>\xff</id>kernel</update></updates>":                              `advisory "": text "\xff": not UTF-8`,
		"<updates>" + strings.Repeat("<a>", 70):                                                "elements nested too deeply: not well-formed",
		"<updates><update>kernel<id>" + strings.Repeat("a", 2000) + "</id></update></updates>": `"id": larger than klp-audit reads`,
	} {
		if _, _, err := readAll(strings.NewReader(text), "kernel"); err == nil || err.Error() != want && !strings.HasSuffix(err.Error(), `: "id": larger than klp-audit reads`) {
			t.Errorf("%.100q: %v, want %s", text, err, want)
		}
	}
	broken := errors.New("broken")
	if _, _, err := readAll(io.MultiReader(strings.NewReader(sample[:800]), iotest.ErrReader(broken)), "kernel"); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(stopped, strings.NewReader(sample), nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// A text without a zone only says on which day an advisory was issued.
func TestIssued(t *testing.T) {
	moment := time.Date(2020, 6, 30, 8, 29, 1, 0, time.UTC)
	day := time.Date(2020, 6, 30, 0, 0, 0, 0, time.UTC)
	for text, tt := range map[string]struct {
		want    time.Time
		dayOnly bool
	}{
		"1593505741":                {moment, false},
		"2020-06-30 13:29:01":       {day, true},
		"2020-06-30T13:29:01":       {day, true},
		"2020-06-30":                {day, true},
		"2020-06-30 08:29:01 UTC":   {moment, false},
		"2020-06-30T08:29:01Z":      {moment, false},
		"2020-06-30T10:29:01+02:00": {moment, false},
		"2020-06-30 10:29:01 +0200": {moment, false},
		"1999-06-30":                {}, "2020-13-30": {}, "": {}, "yesterday": {}, "2020-06-30 13:29:01 CEST": {day, true},
	} {
		got, dayOnly := issued(text)
		if got == nil && tt.want.IsZero() {
			continue
		}
		if got == nil || !got.Equal(tt.want) || dayOnly != tt.dayOnly {
			t.Errorf("%q: %v, %v", text, got, dayOnly)
		}
	}
}

// An endless update is given up with bounded memory.
func TestReadEndsEndlessUpdates(t *testing.T) {
	defer func(was int) { maxUpdate = was }(maxUpdate)
	maxUpdate = 1 << 20
	for name, r := range map[string]io.Reader{
		"text": io.MultiReader(strings.NewReader("<updates><update>"), endless("a")),
		"tags": io.MultiReader(strings.NewReader("<updates><update>"), endless("<a/>")),
		"tag":  io.MultiReader(strings.NewReader("<updates><update a='"), endless("b")),
	} {
		if _, _, err := readAll(r, "kernel"); !errors.Is(err, errTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// However an update is written, only its own length counts, not that of the file.
func TestReadKeepsOneUpdateAtATime(t *testing.T) {
	defer func(was int) { maxUpdate = was }(maxUpdate)
	maxUpdate = 1 << 20
	for _, update := range []string{"<update><id>kernel</id></update>", "<u:update><id>kernel</id></u:update>", "<update><id>kernel</id></update >", "<update><id>kernel</id><!-- --></update>"} {
		n := 3<<20/len(update) + 1
		if got, _, err := readAll(strings.NewReader("<updates>"+strings.Repeat(update, n)+"</updates>"), "kernel"); err != nil || len(got) != n {
			t.Errorf("%d of %d of %s: %v", len(got), n, update, err)
		}
	}
}

type endless string

func (e endless) Read(p []byte) (n int, err error) {
	for n+len(e) <= len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// Only updates that may name a package are parsed fully; the answers equal those of reading
// everything with encoding/xml.
func FuzzRead(f *testing.F) {
	f.Add(sample)
	f.Add("<updates><u:update x:type='a&amp;b'><id>&#x41;kernel</id><title>a<b>kernel</b>c</title></u:update></updates>")
	f.Add("<updates><update><issued\ndate='1715592853'/><!-- kernel --></update></updates>")
	f.Add("<updates><u:update><id>kernel</id></u:update><u:update><id>kernel</id></u:update><update><id>kernel</id></update ><update><id>kernel</id></update></updates>")
	f.Add("<updates><update>\r\n<title>a\rkernel\r\nb</title></update><update><issued date='1'/><issued date='1715592853'/></update></updates>")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(text, "<!--", ""), cdata, ""), "<!") {
			t.Skip() // no document types
		}
		if slices.ContainsFunc(strings.Split(text, "<"), func(tag string) bool { return len(tag) > maxField }) {
			t.Skip()
		}
		want, wantNewest, err := readWhole(text) // it reads half a surrogate pair as U+FFFD
		if err != nil || strings.Contains(fmt.Sprint(want), "\ufffd") {
			t.Skip()
		}
		got, newest, err := readAll(strings.NewReader(text), "kernel")
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if diff := cmp.Diff(wantNewest, newest); diff != "" {
			t.Errorf("newest: -want +got\n%s", diff)
		}
	})
}

// readWhole reads the whole file with encoding/xml, and returns the updates in which "kernel"
// occurs.
func readWhole(text string) (list []Advisory, newest Newest, err error) {
	d := xml.NewDecoder(strings.NewReader(text))
	var path []string
	var a Advisory
	var begin int64
	begun, dated := false, false
	for {
		at := d.InputOffset()
		token, err := d.Token() // it is strict about the names in end tags
		if err == io.EOF && (len(path) > 0 || !begun) {
			return nil, newest, io.ErrUnexpectedEOF
		}
		if err == io.EOF {
			return list, newest, nil
		}
		if err != nil {
			return nil, newest, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			path = append(path, token.Name.Local)
			switch {
			case len(path) > 60 || len(path) == 1 && path[0] != "updates":
				return nil, newest, errors.New("no updateinfo")
			case len(path) == 1:
				begun = true
			case len(path) == 2:
				dated = false
				a, begin = Advisory{Type: attrOf(token, "type"), Status: attrOf(token, "status"), Version: attrOf(token, "version")}, at
			default:
				if !dated || len(path) != 3 || path[2] != "issued" {
					if err := a.take(path, token); err != nil {
						return nil, newest, err
					}
				}
				dated = dated || len(path) == 3 && path[2] == "issued"
			}
		case xml.CharData:
			a.takeText(path, string(token))
		case xml.EndElement:
			if len(path) == 0 {
				return nil, newest, errors.New("no start")
			}
			if len(path) == 2 {
				a.ID, a.Title, a.Severity = strings.TrimSpace(a.ID), strings.TrimSpace(a.Title), strings.TrimSpace(a.Severity)
				if a.Issued != nil && (newest.Issued == nil || a.Issued.After(*newest.Issued)) {
					newest = Newest{a.Issued, a.DayOnly}
				}
				raw := text[begin:d.InputOffset()]
				if len(a.ID+a.Title+a.Severity) > maxField {
					return nil, newest, errTooLarge
				}
				if strings.Contains(raw, "kernel") || strings.Contains(raw, "&#") {
					list = append(list, a)
				}
			}
			path = path[:len(path)-1]
		}
	}
}

func (a *Advisory) take(path []string, t xml.StartElement) error {
	switch name := path[len(path)-1]; {
	case len(path) == 3 && name == "issued":
		a.Issued, a.DayOnly = issued(attrOf(t, "date"))
	case name == "reference" && attrOf(t, "type") == "cve":
		a.CVEs = append(a.CVEs, attrOf(t, "id"))
	case name == "package":
		version, release := attrOf(t, "version"), attrOf(t, "release")
		if attrOf(t, "name") == "" || version == "" || release == "" {
			return errors.New("no package")
		}
		if epoch := attrOf(t, "epoch"); epoch != "" && epoch != "0" {
			version = epoch + ":" + version
		}
		a.Packages = append(a.Packages, Package{attrOf(t, "name"), version + "-" + release})
	}
	return nil
}

func (a *Advisory) takeText(path []string, text string) {
	if len(path) != 3 {
		return
	}
	switch path[2] {
	case "id":
		a.ID += text
	case "title":
		a.Title += text
	case "severity":
		a.Severity += text
	}
}

func attrOf(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// large is a file with many updates; one in ten concerns a kernel with 300 CVE numbers.
func large(updates int) []byte {
	var b bytes.Buffer
	b.WriteString("<updates>\n")
	for i := range updates {
		name := "bash"
		if i%13 == 0 {
			name = "kernel-default"
		}
		fmt.Fprintf(&b, "<update from='x' status='stable' type='security' version='1'><id>SUSE-%d</id><title>Security update for %s</title><severity>important</severity><issued date='%d'/><references>", i, name, 1700000000+i*1000)
		for n := range 20 + 280*(1-min(1, i%13)) {
			fmt.Fprintf(&b, "<reference href='https://www.suse.com/security/cve/CVE-2025-%d/' id='CVE-2025-%d' title='CVE-2025-%d' type='cve'/>\n", 1000+n, 1000+n, 1000+n)
		}
		b.WriteString("</references><description>" + strings.Repeat("This update fixes something that was wrong before. ", 40) + "</description><pkglist><collection>")
		for range 12 {
			fmt.Fprintf(&b, "<package name='%s' epoch='0' version='%d' release='1' arch='x86_64' src='x.src.rpm'><filename>x.rpm</filename></package>", name, i)
		}
		b.WriteString("</collection></pkglist></update>\n")
	}
	b.WriteString("</updates>\n")
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	text := large(5000)
	b.Run("updateinfo", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := Read(b.Context(), bytes.NewReader(text), []string{"kernel-"}, func(Advisory) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding/xml", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, _, err := readWhole(string(text)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
