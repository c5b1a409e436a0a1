package verdict

import (
	"fmt"
	"strings"

	"github.com/klp-audit/klp-audit/internal/initrd"
	"github.com/klp-audit/klp-audit/record"
)

// JudgeImages decides by the image if the journal could not, or if a file was named. If the next
// boot may use one of several images, they must agree.
func JudgeImages(v record.Initrd, q Question, named string, read func(path string) (*initrd.Image, error)) record.Initrd {
	images := []string{named}
	switch {
	case v.Patch == "", named == "" && v.Verdict != record.VerdictUnknown:
		return v
	case named == "" && v.Reason == record.ReasonOtherSnapshot:
		images = append([]string{q.Live.Image}, q.Live.Others...)
	case named == "":
		images = []string{q.Live.Image}
	}
	first := record.Verdict("")
	for _, path := range images {
		img, err := read(path)
		v = judgeImage(v, img, err, q.Live.SrcVersion)
		if first == "" {
			first = v.Verdict
		}
		if v.Verdict != first {
			v.Verdict, v.Basis, v.Reason = record.VerdictUnknown, "", record.ReasonOtherSnapshot
			return v
		}
	}
	return v
}

// judgeImage decides by an image file that was read, or could not be (err). before is the journal's
// verdict, whose evidence stays. srcVersion is that of the loaded module, empty if not known.
func judgeImage(before record.Initrd, img *initrd.Image, err error, srcVersion string) record.Initrd {
	j := judgement{Initrd: before}
	if before.Patch == "" {
		return before
	}
	if err != nil {
		j.add(record.Evidence{Says: err.Error()})
		j.Basis = ""
		return j.unknown(record.ReasonUnreadable)
	}
	j.Reason = ""
	e := record.Evidence{Time: record.AtOrNil(img.ModTime), Path: img.Path, Size: img.Size, SHA256: img.SHA256}
	for _, m := range img.Modules {
		if m.Name != before.Patch || m.KernelRelease != before.KernelRelease {
			continue
		}
		switch {
		case !m.LivePatch && m.SrcVersion == "" && !strings.HasPrefix(m.Name, "kgraft"):
			e.Says = "the image holds " + m.Path + ", which is no live patch module"
			j.add(e)
			return j.unknown(record.ReasonUnreadable)
		case differ(srcVersion, m.SrcVersion):
			e.Says = fmt.Sprintf("the image holds %s with source version %s; the loaded one has %s", m.Path, m.SrcVersion, srcVersion)
			j.add(e)
			return j.proven(record.VerdictMissing, record.BasisImage)
		}
		e.Says = "the image holds " + m.Path
		j.add(e)
		return j.proven(record.VerdictContained, record.BasisImage)
	}
	e.Says = "the image was read to its end and does not hold the patch"
	j.add(e)
	return j.proven(record.VerdictMissing, record.BasisImage)
}
