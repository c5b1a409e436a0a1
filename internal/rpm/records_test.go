package rpm

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// signedPatch is what rpm prints for a signed live patch, with a hostile vendor name.
const signedPatch = "kernel-livepatch-6_4_0-150600_23_42-default\x1fx86_64\x1f0\x1f7\x1f150600.13.6.1\x1f" +
	"1795425600\x1f1795425599\x1f1002\x1f1795425598\x1fkernel-livepatch-SLE15-SP6_Update_9-7-150600.13.6.1.src.rpm\x1f" +
	"RSA/SHA256, Tue May 13 14:58:10 2025, Key ID 70af9e8139db7c82\x1fA vendor\x1f\xff\n\x1b[1m"

func TestParsePackage(t *testing.T) {
	got, err := parsePackage(signedPatch)
	want := record.Package{
		Name: "kernel-livepatch-6_4_0-150600_23_42-default", Arch: "x86_64", Version: "7-150600.13.6.1",
		InstallTime: 1795425600, InstallTID: 1795425599, DBInstance: 1002, BuildTime: 1795425598,
		SourceRPM: "kernel-livepatch-SLE15-SP6_Update_9-7-150600.13.6.1.src.rpm", SignatureKey: "70af9e8139db7c82",
		Vendor: "A vendor\x1f\ufffd\n\x1b[1m",
	}
	if diff := cmp.Diff(got, want); err != nil || diff != "" {
		t.Errorf("%v, got -, want +\n%s", err, diff)
	}
}

func TestParsePackageErrors(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":          "",
		"a field too few":  signedPatch[:strings.LastIndex(strings.TrimSuffix(signedPatch, "\x1f\xff\n\x1b[1m"), "\x1f")],
		"a line too many":  strings.Replace(signedPatch, "kernel", "kernel\n", 1),
		"a NUL":            strings.Replace(signedPatch, "150600", "1\x00", 2),
		"no architecture":  strings.Replace(signedPatch, "x86_64", "", 1),
		"an epoch of text": strings.Replace(signedPatch, "\x1f0\x1f", "\x1fx\x1f", 1),
		"a negative time":  strings.Replace(signedPatch, "1795425600", "-1", 1),
	} {
		if p, err := parsePackage(text); err == nil {
			t.Errorf("%s: got %v, want an error", name, p)
		}
	}
}

func TestKeyID(t *testing.T) {
	for signature, want := range map[string]string{
		"": "", "(none)": "", "(not a blob)": "", "RSA/SHA256, Key ID nothex": "", "Key ID 70af9e8139db7c82": "",
		"RSA/SHA256, Tue May 13 14:58:10 2025, Key ID 70AF9E8139DB7C82":                                   "70af9e8139db7c82",
		"RSA/SHA512, Tue May 13 14:58:10 2025, Key Fingerprint: feab502539d846db2c0961ca70af9e8139db7c82": "feab502539d846db2c0961ca70af9e8139db7c82",
	} {
		if got := keyID(signature); got != want {
			t.Errorf("keyID(%q) = %q, want %q", signature, got, want)
		}
	}
}

// split splits the pieces of output, and returns the records and the error.
func split(limit int, pieces ...string) (got []string, err error) {
	r := &records{end: []byte("<end>\n"), limit: limit, each: func(record string) error {
		got = append(got, record)
		if record == "bad" {
			return errors.New("it is bad")
		}
		return nil
	}}
	for _, piece := range pieces {
		if _, err := r.Write([]byte(piece)); err != nil {
			break
		}
	}
	return got, r.close()
}

func TestRecords(t *testing.T) {
	got, err := split(5, "one<e", "nd>\ntwo", "<end>\n<end>\n", "", "12345<end>\n")
	if diff := cmp.Diff(got, []string{"one", "two", "", "12345"}); err != nil || diff != "" {
		t.Errorf("%v, got -, want +\n%s", err, diff)
	}
	for want, output := range map[string]string{
		`record 2 of rpm's output, "bad": it is bad`:                    "good<end>\nbad<end>\nrest",
		`record 2 of rpm's output, "good": it has no end`:               "good<end>\ngood",
		`record 1 of rpm's output, "123456": longer than 5 bytes`:       "123456<end>\n",
		`record 1 of rpm's output, "123456789012": longer than 5 bytes`: "123456789012",
	} {
		if _, err := split(5, output); err == nil || err.Error() != want {
			t.Errorf("of %q: %v, want %s", output, err, want)
		}
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(signedPatch+"<end>\n"+signedPatch+"<end>\n", 10)
	f.Add("one<end>\n<en<end>\n", 1)
	f.Fuzz(func(t *testing.T, output string, cut int) {
		cut = min(max(cut, 0), len(output))
		whole, err := split(1000, output)
		pieces, err2 := split(1000, output[:cut], output[cut:])
		if diff := cmp.Diff(whole, pieces); diff != "" || (err == nil) != (err2 == nil) {
			t.Errorf("in pieces: %v instead of %v, whole -, pieces +\n%s", err2, err, diff)
		}
		if joined := strings.Join(append(whole, ""), "<end>\n"); err == nil && joined != output {
			t.Errorf("%q became %q", output, joined)
		}
		for _, text := range whole {
			p, err := parsePackage(text)
			if err != nil {
				continue
			}
			if evr, err := rpmversion.Parse(p.Version); err != nil || evr.String() != p.Version {
				t.Errorf("version %q cannot be read back: %v", p.Version, err)
			}
			if strings.ContainsAny(p.NEVRA()+p.SignatureKey, "\x00\n\x1b") {
				t.Errorf("package %+v has control characters", p)
			}
		}
	})
}
