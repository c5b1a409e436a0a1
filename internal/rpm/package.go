package rpm

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Package is one installed package: one record of the database.
type Package struct {
	Name string `json:"name"`
	EVR  EVR    `json:"evr"`
	Arch string `json:"arch"`

	InstallTime int64 `json:"install_time"` // seconds since 1970
	InstallTID  int64 `json:"install_tid"`  // the same for all of one transaction
	DBInstance  int64 `json:"db_instance"`  // the record's number, new whenever the package is installed
	BuildTime   int64 `json:"build_time"`   // seconds since 1970

	SourceRPM  string `json:"source_rpm,omitempty"`
	Vendor     string `json:"vendor,omitempty"`
	SigningKey string `json:"signing_key,omitempty"` // key id in hex; empty: not signed
}

// String returns name-[epoch:]version-release.arch.
func (p Package) String() string {
	return p.Name + "-" + p.EVR.String() + "." + p.Arch
}

// comparePackages orders by name, architecture, version and record.
func comparePackages(a, b Package) int {
	return cmp.Or(
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Arch, b.Arch),
		a.EVR.Compare(b.EVR),
		cmp.Compare(a.EVR.String(), b.EVR.String()),
		cmp.Compare(a.DBInstance, b.DBInstance))
}

// fieldEnd separates the fields of a record. The last field is free text and
// may contain it.
const fieldEnd = "\x1f"

// nameFormat is rpm's query format of the fields of parseName in order.
const nameFormat = "%{NAME}" + fieldEnd + "%{ARCH}" + fieldEnd +
	"%{EPOCHNUM}" + fieldEnd + "%{VERSION}" + fieldEnd + "%{RELEASE}" + fieldEnd

// packageFormat is rpm's query format of the fields of parsePackage in order.
// The signature is where rpm itself looks for it.
const packageFormat = nameFormat +
	"%{INSTALLTIME}" + fieldEnd + "%{INSTALLTID}" + fieldEnd + "%{DBINSTANCE}" + fieldEnd + "%{BUILDTIME}" + fieldEnd +
	"%{SOURCERPM}" + fieldEnd +
	"%|DSAHEADER?{%{DSAHEADER:pgpsig}}:{%|RSAHEADER?{%{RSAHEADER:pgpsig}}:{" +
	"%|SIGGPG?{%{SIGGPG:pgpsig}}:{%|SIGPGP?{%{SIGPGP:pgpsig}}|}|}|}|" + fieldEnd +
	"%{VENDOR}"

// changelogFormat is rpm's query format of a package's name and its changelog
// as rpm -q --changelog prints it.
const changelogFormat = nameFormat + "[* %{CHANGELOGTIME:day} %{CHANGELOGNAME}\n%{CHANGELOGTEXT}\n\n]"

// parsePackage parses a record in packageFormat.
func parsePackage(record string) (Package, error) {
	p, rest, err := parseName(record)
	if err != nil {
		return Package{}, err
	}
	f := strings.SplitN(rest, fieldEnd, 7)
	if len(f) != 7 {
		return Package{}, fmt.Errorf("%d fields instead of 12", 5+len(f))
	}
	for i, number := range [...]*int64{&p.InstallTime, &p.InstallTID, &p.DBInstance, &p.BuildTime} {
		if *number, err = parseNumber(f[i]); err != nil {
			return Package{}, err
		}
	}
	p.SourceRPM, p.SigningKey, p.Vendor = orNone(f[4]), keyID(f[5]), orNone(f[6])
	return p, nil
}

// parseName parses the beginning of a record, in nameFormat, and returns what
// comes after it.
func parseName(record string) (p Package, rest string, err error) {
	f := strings.SplitN(record, fieldEnd, 6)
	if len(f) != 6 {
		return Package{}, "", fmt.Errorf("%d fields where name and version alone have 5", len(f))
	}
	epoch, err := parseNumber(f[2])
	if err != nil {
		return Package{}, "", err
	}
	p = Package{Name: f[0], Arch: f[1], EVR: EVR{Epoch: int(epoch), Version: f[3], Release: f[4]}}
	return p, f[5], p.check()
}

// check reports what makes p's name, architecture or version unfit to be any.
func (p Package) check() error {
	for _, s := range [...]string{p.Name, p.Arch} {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r != '-' && r != ':' && isForeign(r) }) {
			return fmt.Errorf("name or architecture %q holds a character that none has", s)
		}
	}
	return p.EVR.check()
}

// parseNumber parses a number of a record. rpm prints (none) for one that the
// package lacks.
func parseNumber(s string) (int64, error) {
	if s == "(none)" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return int64(n), nil
}

// orNone returns s as valid UTF-8, empty where rpm prints that there is none.
func orNone(s string) string {
	if s == "(none)" {
		return ""
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// keyID returns the key in rpm's description of a signature, which ends in
// "Key ID 70af9e8139db7c82", or since rpm 6 in "Key Fingerprint: " and more
// digits. It is empty if there is none.
func keyID(signature string) string {
	_, key, _ := strings.Cut(signature, ", Key ")
	key = strings.ToLower(key[strings.LastIndexByte(key, ' ')+1:])
	if len(key) < 8 || strings.Trim(key, "0123456789abcdef") != "" {
		return ""
	}
	return key
}
