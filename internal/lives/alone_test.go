package lives

import (
	"time"

	"github.com/klp-audit/klp-audit/internal/journal"
	"github.com/klp-audit/klp-audit/internal/verdict"
	"github.com/klp-audit/klp-audit/record"
)

// alone is what a journal alone says of an initrd, as of somebody who has nothing else of the host.
type alone struct {
	at      time.Time
	verdict record.Initrd
}

func (r *recorder) judgeAlone(boots []journal.Boot, kernel string, lp *record.LivePatch) {
	if lp != nil {
		r.alone = append(r.alone, alone{r.wall(), verdict.Judge(verdict.Question{Kernel: kernel, Patch: lp.Module, Boots: boots})})
	}
}

// someAlone are times of such verdicts. Where some builds leave no line, or images come from elsewhere,
// there are none: that the journal has all builds is what they rest on.
func (l *life) someAlone(n int) (list []time.Time) {
	if len(l.alone) == 0 || l.has["image restored"] || l.has["dracut silent"] && (l.has["own entry missing"] || l.has["two builds at once"]) {
		return nil
	}
	for range n {
		list = append(list, l.alone[l.IntN(len(l.alone))].at)
	}
	return list
}

func (l *life) askAlone(at time.Time) (*answers, error) {
	a := &answers{at: at, unknown: map[string]bool{}}
	for _, j := range l.alone {
		if v := j.verdict; j.at.Equal(at) && v.Verdict != record.VerdictUnknown {
			a.add("journal", string(v.Basis), string(v.Verdict)+" "+v.Patch, v.Basis == record.BasisInferred, func(m moment) bool {
				return (m.running[v.KernelRelease] == v.Patch) == (v.Verdict == record.VerdictContained)
			})
		}
	}
	return a, nil
}
