package rpm

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/klp-audit/klp-audit/internal/rpmversion"
	"github.com/klp-audit/klp-audit/record"
)

// Instance returns what distinguishes p from all packages that are or were installed: name, version
// and architecture, times and numbers. The content of p is the same as long as these are.
func Instance(p record.Package) record.Package {
	p.SourceRPM, p.Vendor, p.SignatureKey, p.Kind = "", "", "", ""
	return p
}

// comparePackages orders by name, architecture, version and record number.
func comparePackages(a, b record.Package) int {
	if order := cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch)); order != 0 {
		return order
	}
	return cmp.Or(rpmversion.Of(a).Compare(rpmversion.Of(b)), cmp.Compare(a.Version, b.Version), cmp.Compare(a.DBInstance, b.DBInstance))
}

// fieldEnd separates the fields of a record. The last field is free text and
// may contain it.
const fieldEnd = "\x1f"

// instanceFormat is rpm's query format of the fields of parseInstance in order.
const instanceFormat = "%{NAME}" + fieldEnd + "%{ARCH}" + fieldEnd +
	"%{EPOCHNUM}" + fieldEnd + "%{VERSION}" + fieldEnd + "%{RELEASE}" + fieldEnd +
	"%{INSTALLTIME}" + fieldEnd + "%{INSTALLTID}" + fieldEnd + "%{DBINSTANCE}" + fieldEnd + "%{BUILDTIME}" + fieldEnd

// packageFormat is rpm's query format of the fields of parsePackage in order.
// The signature is where rpm itself looks for it.
const packageFormat = instanceFormat +
	"%{SOURCERPM}" + fieldEnd +
	"%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{" +
	"%|SIGGPG?{%{SIGGPG:pgpsig}}:{%|SIGPGP?{%{SIGPGP:pgpsig}}|}|}|}|" + fieldEnd +
	"%{VENDOR}"

// changelogFormat is rpm's query format of a package and its changelog, in the form that rpm -q
// --changelog prints.
const changelogFormat = instanceFormat + "[* %{CHANGELOGTIME:day} %{CHANGELOGNAME}\n%{CHANGELOGTEXT}\n\n]"

// providesFormat is rpm's query format of a package and the names that it provides.
const providesFormat = instanceFormat + "[%{PROVIDENAME}\n]"

// parsePackage parses a record in packageFormat.
func parsePackage(text string) (record.Package, error) {
	p, rest, err := parseInstance(text)
	if err != nil {
		return record.Package{}, err
	}
	f := strings.SplitN(rest, fieldEnd, 3)
	if len(f) != 3 {
		return record.Package{}, fmt.Errorf("%d fields instead of 12", 9+len(f))
	}
	p.SourceRPM, p.SignatureKey, p.Vendor = orNone(f[0]), keyID(f[1]), orNone(f[2])
	return p, nil
}

// parseInstance parses the beginning of a record, in instanceFormat, into the package that Instance
// returns, and returns the rest of the record.
func parseInstance(text string) (p record.Package, rest string, err error) {
	f := strings.SplitN(text, fieldEnd, 10)
	if len(f) != 10 {
		return record.Package{}, "", fmt.Errorf("%d fields where name, version and times alone have 9", len(f))
	}
	var epoch int64
	for i, number := range [...]*int64{2: &epoch, 5: &p.InstallTime, 6: &p.InstallTID, 7: &p.DBInstance, 8: &p.BuildTime} {
		if number == nil {
			continue
		}
		if *number, err = parseNumber(f[i]); err != nil {
			return record.Package{}, "", err
		}
	}
	evr := rpmversion.EVR{Epoch: int(epoch), Version: f[3], Release: f[4]}
	p.Name, p.Arch, p.Version = f[0], f[1], evr.String()
	return p, f[9], check(p, evr)
}

// check reports why p's name, architecture or version cannot be valid.
func check(p record.Package, evr rpmversion.EVR) error {
	for _, s := range [...]string{p.Name, p.Arch} {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r != '-' && r != ':' && rpmversion.IsForeign(r) }) {
			return fmt.Errorf("name or architecture %q contains a character that is not allowed", s)
		}
	}
	return evr.Check()
}

// parseNumber parses a number in a record. rpm prints (none) if the package does not have it.
func parseNumber(s string) (int64, error) {
	if s == "(none)" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	return int64(n), nil
}

// orNone returns s as valid UTF-8, and empty for rpm's (none).
func orNone(s string) string {
	if s == "(none)" {
		return ""
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// keyID returns the key in rpm's description of a signature, which ends in "Key ID
// 70af9e8139db7c82", or since rpm 6 in "Key Fingerprint: " and more digits. It is empty if there is
// none.
func keyID(signature string) string {
	_, key, _ := strings.Cut(signature, ", Key ")
	key = strings.ToLower(key[strings.LastIndexByte(key, ' ')+1:])
	if len(key) < 8 || strings.Trim(key, "0123456789abcdef") != "" {
		return ""
	}
	return key
}
