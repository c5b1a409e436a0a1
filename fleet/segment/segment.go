// Package segment packs the events of a log for the collector: the lines of an export, unchanged
// and compressed, and the outlines that reports read.
package segment

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/record/view"
)

// ErrAltered says that kept bytes are not what was kept.
var ErrAltered = errors.New("the kept bytes were altered")

// Segment is a stretch of a log.
type Segment struct {
	First, Last int64       // numbers of its events
	Tree        []tlog.Hash // over the events before the first: the hashes of the complete subtrees, largest first
	Lines       []byte      // those of an export, zstd
	Bytes       int64       // of the lines before they were compressed
	Outlines    []byte      // of the events that have a body, zstd
	Form        int64       // of the outlines: view.Form of the program that wrote them
}

// A segment ends at the first of these: larger ones compress hardly better, and whoever reads one
// event reads its segment.
const (
	MaxEvents = 1000
	MaxBytes  = 4 << 20
)

// Small is how many events a segment has at least that stays as it is. Merge packs one with fewer
// together with its neighbours.
const Small = 500

// Packer packs the events of a log, in its order.
type Packer struct {
	tree     *proof.Tree // over the events so far
	from     []tlog.Hash // over those before the segment that is being filled
	first    int64
	lines    bytes.Buffer
	outlines []*view.Outline
	done     []Segment
	stays    bool // what is packed is not packed again, unless it is small
}

// NewPacker packs the events after those that a tree covers; hashes are those of its complete
// subtrees, largest first.
func NewPacker(size int64, hashes []tlog.Hash) (*Packer, error) {
	tree, err := proof.NewTree(size, hashes)
	if err != nil {
		return nil, err
	}
	return &Packer{tree: tree, from: hashes, first: size + 1}, nil
}

// Add adds the next event. o is its outline, nil if it has no body.
func (p *Packer) Add(e proof.Entry, o *view.Outline) error {
	w := bufio.NewWriter(&p.lines)
	if err := proof.WriteExportEntry(w, e); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if o != nil {
		p.outlines = append(p.outlines, o)
	}
	if err := p.tree.Add(e.Hash); err != nil {
		return err
	}
	if p.tree.Size()-p.first+1 >= MaxEvents || p.lines.Len() >= MaxBytes {
		p.flush()
	}
	return nil
}

// Segments returns what was packed.
func (p *Packer) Segments() []Segment {
	p.flush()
	return p.done
}

func (p *Packer) flush() {
	if p.lines.Len() == 0 {
		return
	}
	packed := quick()
	if p.stays && p.tree.Size()-p.first+1 >= Small {
		packed = lasting()
	}
	p.done = append(p.done, Segment{
		First: p.first, Last: p.tree.Size(), Tree: p.from, Lines: packed.EncodeAll(p.lines.Bytes(), nil), Bytes: int64(p.lines.Len()),
		Outlines: packed.EncodeAll(view.AppendOutlines(nil, p.outlines), nil), Form: view.Form(),
	})
	p.first, p.from = p.tree.Size()+1, p.tree.Roots()
	p.lines.Reset()
	p.outlines = nil
}

// Content returns the lines of a segment.
func (s *Segment) Content() ([]byte, error) {
	lines, err := expand(s.Lines, s.Bytes)
	if err == nil && int64(len(lines)) != s.Bytes {
		err = fmt.Errorf("%d bytes, not %d", len(lines), s.Bytes)
	}
	if err != nil {
		return nil, fmt.Errorf("reading events %d to %d: %w: %w", s.First, s.Last, ErrAltered, err)
	}
	return lines, nil
}

// Entries returns the events of a segment.
func (s *Segment) Entries() (entries []proof.Entry, err error) {
	lines, err := s.Content()
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(lines) {
		e, ok := proof.ParseEntry(bytes.TrimSuffix(line, []byte("\n")))
		if !ok || e.Seq != s.First+int64(len(entries)) {
			return nil, fmt.Errorf("reading event %d: %w: %.80q", s.First+int64(len(entries)), ErrAltered, line)
		}
		entries = append(entries, e)
	}
	if want := s.Last - s.First + 1; int64(len(entries)) != want {
		return nil, fmt.Errorf("reading events %d to %d: %w: there are %d", s.First, s.Last, ErrAltered, len(entries))
	}
	return entries, nil
}

// Read returns the outlines of a segment; of events without a body there is none. If another
// version of the program wrote them, they are made again.
func (s *Segment) Read() ([]*view.Outline, error) {
	if s.Form != view.Form() {
		return s.outline()
	}
	plain, err := expand(s.Outlines, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the outlines of events %d to %d: %w", s.First, s.Last, err)
	}
	return view.ReadOutlines(plain)
}

// Outlined says whether outlines, made from the events after one number and up to another, are those
// that are kept. Of outlines in another form nobody reads anything.
func (s *Segment) Outlined(made []*view.Outline, after, to int64) bool {
	if s.Form != view.Form() {
		return true
	}
	plain, err := expand(s.Outlines, 0)
	if err != nil {
		return false
	}
	if after == s.First-1 && to == s.Last {
		return bytes.Equal(plain, view.AppendOutlines(nil, made))
	}
	kept, err := view.ReadOutlines(plain)
	if err != nil {
		return false
	}
	kept = slices.DeleteFunc(kept, func(o *view.Outline) bool { return o.Event <= after || o.Event > to })
	return bytes.Equal(view.AppendOutlines(nil, kept), view.AppendOutlines(nil, made))
}

// outline makes outlines from the lines.
func (s *Segment) outline() (list []*view.Outline, err error) {
	entries, err := s.Entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Body == nil {
			continue
		}
		ev, err := record.DecodeAt(e.Seq, e.Body)
		if err != nil {
			return nil, err
		}
		list = append(list, view.Of(e.Seq, ev))
	}
	return list, nil
}

// Merge packs the events of segments that follow each other together, for good.
func Merge(segments []Segment) ([]Segment, error) {
	return repack(segments, segments[0].First-1, segments[len(segments)-1].Last, true)
}

// Repack packs the events of segments anew: those after one number, up to another.
func Repack(segments []Segment, after, to int64) ([]Segment, error) {
	return repack(segments, after, to, false)
}

func repack(segments []Segment, after, to int64, stays bool) ([]Segment, error) {
	var p *Packer
	for i := range segments {
		s := &segments[i]
		if s.Last <= after || s.First > to {
			continue
		}
		entries, err := s.Entries()
		if err != nil {
			return nil, err
		}
		outlines, err := s.Read()
		if err != nil {
			return nil, err
		}
		if p == nil {
			if p, err = s.packerAfter(entries, after); err != nil {
				return nil, err
			}
			p.stays = stays
		}
		if err := p.add(entries, outlines, to); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, nil
	}
	return p.Segments(), nil
}

// Pack packs the events of a segment anew, some with a body more or less; outlines are those of all
// that have one, at least.
func (s *Segment) Pack(entries []proof.Entry, outlines []*view.Outline) ([]Segment, error) {
	p, err := NewPacker(s.First-1, s.Tree)
	if err != nil {
		return nil, err
	}
	if err := p.add(entries, outlines, s.Last); err != nil {
		return nil, err
	}
	return p.Segments(), nil
}

// packerAfter returns a packer for the events of a segment after a number.
func (s *Segment) packerAfter(entries []proof.Entry, after int64) (*Packer, error) {
	tree, err := s.TreeAt(entries, after)
	if err != nil {
		return nil, err
	}
	return NewPacker(tree.Size(), tree.Roots())
}

// TreeAt returns the tree over the events up to a number that is in the segment, or below it.
func (s *Segment) TreeAt(entries []proof.Entry, size int64) (*proof.Tree, error) {
	tree, err := proof.NewTree(s.First-1, s.Tree)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Seq > size {
			break
		}
		if err := tree.Add(e.Hash); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// add adds entries that the packer does not have yet, up to a number, with their outlines.
func (p *Packer) add(entries []proof.Entry, outlines []*view.Outline, to int64) error {
	of := map[int64]*view.Outline{}
	for _, o := range outlines {
		of[o.Event] = o
	}
	for _, e := range entries {
		if e.Seq <= p.tree.Size() || e.Seq > to {
			continue
		}
		o := of[e.Seq]
		if e.Body == nil {
			o = nil
		}
		if err := p.Add(e, o); err != nil {
			return err
		}
	}
	return nil
}

// An upload is compressed quickly: most are packed again after a week. What stays is worth the time,
// and 40 MB for each of the encoders, which are two therefore.
var (
	quick   = encoder(zstd.WithEncoderLevel(zstd.SpeedFastest))
	lasting = encoder(zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(2))
)

func encoder(options ...zstd.EOption) func() *zstd.Encoder {
	return sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, append(options, zstd.WithWindowSize(MaxBytes), zstd.WithLowerEncoderMem(true))...)
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
}

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxExpanded))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// maxExpanded bounds the bytes of a segment, and those of its outlines, which may be more: lines of
// empty objects become larger.
const maxExpanded = 256 << 20

func expand(b []byte, size int64) ([]byte, error) {
	if size < 0 || size > maxExpanded {
		size = 0
	}
	return decoder().DecodeAll(b, make([]byte, 0, size))
}
