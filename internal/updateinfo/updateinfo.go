// Package updateinfo reads what a repository says about its advisories: the updateinfo.xml that
// SUSE, openSUSE, SUSE Manager and modifyrepo_c write, compressed or not.
package updateinfo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/klp-audit/klp-audit/internal/rooted"
)

// Advisory is one update in the file: an advisory may have several.
type Advisory struct {
	ID       string
	Version  string // of the advisory; empty: not stated
	Type     string // security, recommended, …
	Status   string // stable, final, …, or Retracted
	Severity string // important, …
	Title    string
	Issued   *time.Time // nil: not stated
	DayOnly  bool       // only the day of Issued is known; Issued is its beginning
	Packages []Package
	CVEs     []string // those that it refers to, in order
}

// Retracted is the status of an advisory that was taken back: what it brought is no longer on
// offer.
const Retracted = "retracted"

// Package is a package that an advisory brings.
type Package struct {
	Name    string
	Version string // [epoch:]version-release
}

// Limits on the reading: the largest files in use have about 100 MiB, an update of a kernel about
// 100 KiB.
const (
	maxFile  = 1 << 30
	maxField = 1 << 10
	maxList  = 1 << 16
)

// maxUpdate bounds one update. It is a variable for tests.
var maxUpdate = 16 << 20

var errTooLarge = rooted.ErrTooLarge

// Newest is when the newest advisory of a file was issued; the zero value: none says.
type Newest struct {
	Issued  *time.Time
	DayOnly bool // as in Advisory
}

// Read calls found for each update in a decompressed file that contains one of the words, such as
// names of relevant packages. Of the other updates, which would take most of the time, it reads
// only when they were issued.
func Read(ctx context.Context, r io.Reader, words []string, found func(Advisory) error) (Newest, error) {
	s := scan{window: window{r: io.LimitReader(r, maxFile+1), max: maxUpdate}, found: found}
	for _, w := range words {
		other := func(short string) bool { return short != w && strings.Contains(w, short) }
		if !slices.ContainsFunc(words, other) { // redundant: it is found where this one is
			s.words = append(s.words, []byte(w))
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return s.newest, err
		}
		if err := s.parse(); err != nil {
			return s.newest, err
		}
		more, err := s.more()
		if err != nil {
			return s.newest, err
		}
		if s.total > maxFile {
			return s.newest, errTooLarge
		}
		if !more {
			break
		}
	}
	if !s.begun || s.depth > 0 {
		return s.newest, io.ErrUnexpectedEOF
	}
	return s.newest, nil
}

// scan looks for updates.
type scan struct {
	window
	words  [][]byte
	found  func(Advisory) error
	total  int // bytes that were parsed
	looked int // how far the window was searched, from its start
	depth  int
	update int  // start of the current update in the window; an update is read at a depth over 1
	body   int  // start of its body; 0: its tags are read one by one
	begun  bool // the root element was seen
	newest Newest
}

// parse reads the complete tags in the window, and leaves an incomplete update.
func (s *scan) parse() error {
	for {
		if s.body > 0 && !s.skip() {
			s.forget()
			return nil
		}
		t, begin, end, found, err := next(s.buf, s.looked)
		if err != nil {
			return err
		}
		if !found {
			s.forget()
			return nil
		}
		if err := s.tag(t, begin, end); err != nil {
			return err
		}
		plain := string(t.name) == "update" && bytes.HasPrefix(s.buf[begin:], []byte("<update")) // without a prefix
		if s.looked = end; s.depth == 2 && t.start && plain {
			s.body = end
		}
	}
}

// skip moves to the last tag of the update, past all tags in its body. If the body holds something unusual, it goes
// back to the start of the body, so that each tag is read. It returns false if the window ends before the update does.
func (s *scan) skip() bool {
	for {
		at := bytes.IndexByte(s.buf[s.looked:], '<')
		if at < 0 {
			s.looked = len(s.buf)
			return false
		}
		s.looked += at
		rest := s.buf[s.looked+1:]
		switch {
		case len(rest) < len(lastTag):
			return false
		case bytes.HasPrefix(rest, []byte(lastTag)):
			s.body = 0
			return true
		case rest[0] == '!', rest[0] == '?', bytes.HasPrefix(rest, []byte("update")), bytes.HasPrefix(rest, []byte("/update")):
			s.looked, s.body = s.body, 0
			return true
		}
		s.looked++
	}
}

const lastTag = "/update>"

// forget drops the part of the window that is no longer needed.
func (s *scan) forget() {
	keep := s.looked
	if s.depth > 1 {
		keep = s.update
	}
	s.total += keep
	s.from, s.looked, s.update = keep, s.looked-keep, 0
	s.body = max(s.body-keep, 0)
}

func (s *scan) tag(t tag, begin, end int) error {
	if t.start {
		if err := s.start(t, begin); err != nil {
			return err
		}
	}
	if !t.end {
		return nil
	}
	if s.depth--; s.depth < 0 {
		return fmt.Errorf("element %.100q ends without a start: %w", t.name, errTag)
	}
	if s.depth != 1 {
		return nil
	}
	raw := s.buf[s.update:end]
	named := s.named(raw)
	if !named {
		date, err := dateOf(raw)
		s.date(issued(date))
		return err
	}
	a, err := parse(raw)
	if err != nil {
		return err
	}
	s.date(a.Issued, a.DayOnly)
	return s.found(a)
}

func (s *scan) date(at *time.Time, dayOnly bool) {
	if at != nil && (s.newest.Issued == nil || at.After(*s.newest.Issued)) {
		s.newest = Newest{at, dayOnly}
	}
}

// dateOf is the date of issue of an update, unparsed; empty: none.
func dateOf(raw []byte) (date string, err error) {
	for at, depth := 0, 0; ; {
		t, _, end, found, err := next(raw, at)
		if !found || err != nil {
			return "", err
		}
		if t.start {
			depth++
		}
		if depth == 2 && t.start && string(t.name) == "issued" {
			return t.attr("date")
		}
		if t.end {
			depth--
		}
		at = end
	}
}

func (s *scan) start(t tag, begin int) error {
	switch s.depth++; {
	case s.depth > 64:
		return fmt.Errorf("elements nested too deeply: %w", errTag)
	case s.depth == 1 && string(t.name) != "updates":
		return fmt.Errorf("%.100q is not an updateinfo", t.name)
	case s.depth == 1:
		s.begun = true
	case s.depth == 2:
		s.update = begin
	}
	return nil
}

// named says whether one of the words occurs, or may occur: a character may be written as a number.
func (s *scan) named(raw []byte) bool {
	for _, w := range s.words {
		if bytes.Contains(raw, w) {
			return true
		}
	}
	return bytes.Contains(raw, []byte("&#"))
}

// parse reads one update.
func parse(raw []byte) (a Advisory, err error) {
	p := update{raw: raw, Advisory: &a}
	for at := 0; ; {
		t, begin, end, found, err := next(raw, at)
		if err != nil {
			return a, fmt.Errorf("advisory %.100q: %w", a.ID, err)
		}
		if !found {
			a.ID, a.Title, a.Severity = strings.TrimSpace(a.ID), strings.TrimSpace(a.Title), strings.TrimSpace(a.Severity)
			return a, nil
		}
		if err := p.tag(t, begin, end); err != nil {
			return a, fmt.Errorf("advisory %.100q: %w", a.ID, err)
		}
		at = end
	}
}

// update is an update while it is read.
type update struct {
	*Advisory
	raw   []byte
	path  [][]byte // names of the enclosing elements
	at    int      // where the last tag ends
	dated bool
}

func (u *update) tag(t tag, begin, end int) error {
	if err := u.takeText(begin); err != nil {
		return err
	}
	u.at = end
	if t.start {
		u.path = append(u.path, t.name)
		if err := u.start(t); err != nil {
			return err
		}
	}
	if t.end {
		u.path = u.path[:len(u.path)-1]
	}
	return nil
}

// takeText uses the text between two tags if it belongs to a field.
func (u *update) takeText(begin int) error {
	if len(u.path) != 2 {
		return nil
	}
	var to *string
	switch string(u.path[1]) {
	case "id":
		to = &u.ID
	case "title":
		to = &u.Title
	case "severity":
		to = &u.Severity
	default:
		return nil
	}
	s, err := text(u.raw[u.at:begin])
	if err == nil && len(*to)+len(s) > maxField {
		err = fmt.Errorf("%q: %w", u.path[1], errTooLarge)
	}
	*to += s
	return err
}

func (u *update) start(t tag) (err error) {
	name := string(t.name)
	switch depth := len(u.path); {
	case depth == 1:
		var errs [3]error
		u.Type, errs[0] = t.attr("type")
		u.Status, errs[1] = t.attr("status")
		u.Version, errs[2] = t.attr("version")
		return cmp.Or(errs[:]...)
	case depth == 2 && name == "issued" && !u.dated: // the first of two
		var date string
		date, err = t.attr("date")
		u.Issued, u.DayOnly = issued(date)
		u.dated = true
	case name == "reference":
		err = u.reference(t)
	case name == "package":
		err = u.brings(t)
	}
	return err
}

func (u *update) reference(t tag) error {
	if !bytes.Contains(t.attrs, []byte("cve")) && bytes.IndexByte(t.attrs, '&') < 0 {
		return nil // most are of bugs
	}
	kind, err := t.attr("type")
	if err != nil || kind != "cve" {
		return err
	}
	if len(u.CVEs) >= maxList {
		return fmt.Errorf("references: %w", errTooLarge)
	}
	id, err := t.attr("id")
	u.CVEs = append(u.CVEs, id)
	return err
}

func (u *update) brings(t tag) error {
	name, err1 := t.attr("name")
	epoch, err2 := t.attr("epoch")
	version, err3 := t.attr("version")
	release, err4 := t.attr("release")
	p := Package{Name: name}
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return err
	}
	if p.Name == "" || version == "" || release == "" {
		return errors.New("a package without a name or a version")
	}
	if len(u.Packages) >= maxList {
		return fmt.Errorf("packages: %w", errTooLarge)
	}
	p.Version = version + "-" + release
	if epoch != "" && epoch != "0" {
		p.Version = epoch + ":" + p.Version
	}
	u.Packages = append(u.Packages, p)
	return nil
}
