package audit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/store/storetest"
)

// troubles are short lives in which something went wrong, and what may be said of moments.
var troubles = map[string]struct {
	tell func(l *storetest.Life)
	want map[string]string
}{
	"a clock two hours ahead in the boot before": {
		func(l *storetest.Life) {
			storetest.HoldsPatch(l.Sees("5 14:00", "A", "5 11:00", "p2", l.Row("A", "5 11:00", "5 14:00", l.Loads("5 11:00:02", "p2", "initrd"))))
			storetest.HoldsPatch(l.Sees("5 12:45", "B", "5 12:30", "p2", l.Row("B", "5 12:30", "5 12:45", l.Loads("5 12:30:02", "p2", "initrd"))))
		},
		map[string]string{
			"5 11:30": "A inferred, p2 inferred contained", // one of both clocks was wrong, and nothing says which
			"5 12:40": "- unknown, ? unknown",
			"5 13:30": "- unknown, ? unknown",
		},
	},
	"one boot without a battery": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 10:00", l.Loads("5 09:00:02", "p1", "initrd")))
			l.Sees("6 10:00", "B", "6 09:00", "p1", l.Row("A", "5 09:00", "5 18:00", l.Loads("5 09:00:02", "p1", "initrd")), l.Row("B", "6 09:00", "6 10:00", l.Loads("6 09:00:02", "p1", "initrd")))
			l.Sees("1 00:10", "C", "1 00:00", "p1", l.Row("B", "6 09:00", "6 18:00", l.Loads("6 09:00:02", "p1", "initrd")), l.Row("C", "1 00:00", "1 00:10", l.Loads("1 00:00:02", "p1", "initrd")))
			l.Sees("8 10:00", "C", "8 09:00", "p1", l.Row("C", "1 00:00", "8 10:00", l.Loads("1 00:00:02", "p1", "initrd")))
		},
		map[string]string{
			"1 00:05": "- unknown, ? unknown",
			"5 09:30": "A proven, p1 proven", "5 12:00": "A proven, p1 proven", "6 17:00": "B proven, p1 proven",
			"7 12:00": "- unknown, ? unknown", "8 10:00": "C proven, p1 proven",
		},
	},
	"a clock set back within the boot": {
		func(l *storetest.Life) {
			o := l.Sees("5 12:02", "A", "5 12:00", "p2", l.Row("A", "5 14:00", "5 12:02", l.Loads("5 14:00:02", "p1", "initrd"), l.Loads("5 12:01:30", "p2", "system")))
			o.LivePatch.Since = new(l.Stamp("5 12:01:30"))
			l.Sees("5 18:00", "A", "5 12:00", "p2", l.Row("A", "5 14:00", "5 18:00", l.Loads("5 14:00:02", "p1", "initrd"), l.Loads("5 12:01:30", "p2", "system")))
		},
		map[string]string{
			"5 12:01:40": "A inferred, p2 inferred", // the journal has them in their order
			"5 14:01":    "A proven, p2 proven",
			"5 17:00":    "A proven, p2 proven",
		},
	},
	"a machine set back to its memory of days ago": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "5 09:00", "p1", l.Row("A", "5 09:00", "5 10:00", l.Loads("5 09:00:02", "p1", "initrd")))
			// 4 hours of its time between 76 of the world's
			l.Sees("8 14:00", "A", "8 09:00", "p1", l.Row("A", "5 09:00", "8 14:00", l.Loads("5 09:00:02", "p1", "initrd")))
			l.Sees("8 16:00", "A", "8 09:00", "p1", l.Row("A", "5 09:00", "8 16:00", l.Loads("5 09:00:02", "p1", "initrd")))
		},
		map[string]string{
			"5 09:30": "A inferred, p1 inferred", // as sure as its clock was
			"6 12:00": "- unknown, ? unknown",
			"8 13:00": "- unknown, ? unknown",
			"8 15:00": "A proven, p1 proven",
		},
	},
	"a clock set ahead after the last event": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00"))
			l.Sees("5 15:00", "B", "5 14:59", "", l.Row("A", "5 09:00", "5 18:00"), l.Row("B", "5 14:59", "5 15:00"))
		},
		map[string]string{"5 09:30": "A inferred, none inferred", "5 12:00": "- unknown, ? unknown", "5 14:59:30": "B inferred, none inferred"},
	},
	"the load of the next patch": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "4 00:00", "5 10:00")))
			o := l.Sees("6 10:00", "A", "1 09:00", "p3", storetest.StartLost(l.Row("A", "5 00:00", "6 10:00", l.Loads("6 09:00:30", "p3", "system"))))
			o.LivePatch.Since = new(l.Stamp("6 09:00:30"))
		},
		map[string]string{"5 12:00": "A proven, ? unknown", "6 09:30": "A proven, p3 proven"},
	},
	"a load that was turned back": {
		func(l *storetest.Life) {
			load := l.Loads("1 09:00:30", "p2", "system")
			load.Result, load.Completed = "unknown", nil
			l.Sees("1 09:01", "A", "1 08:00", "p2", l.Row("A", "1 08:00", "1 09:01", load)).LivePatch.Transition = true
			load.Result, load.Reverted = "reverted", new(l.Stamp("1 09:30"))
			l.Sees("3 09:00", "B", "3 08:59", "", l.Row("A", "1 08:00", "3 08:00", load), l.Row("B", "3 08:59", "3 09:00"))
		},
		map[string]string{
			"1 08:30": "A proven, none proven", "1 09:00:45": "A proven, p2 from none proven",
			"1 09:45": "A proven, none proven", "2 12:00": "A proven, none proven",
		},
	},
	"a load that was turned back, nobody knows when": {
		func(l *storetest.Life) {
			load := l.Loads("1 09:00:30", "p2", "system")
			load.Result, load.Completed = "unknown", nil
			l.Sees("1 09:01", "A", "1 08:00", "p2", l.Row("A", "1 08:00", "1 09:01", load)).LivePatch.Transition = true
			load.Result = "reverted"
			l.Sees("3 09:00", "B", "3 08:59", "", l.Row("A", "1 08:00", "3 08:00", load), l.Row("B", "3 08:59", "3 09:00"))
		},
		map[string]string{"1 08:30": "A proven, none proven", "1 09:01": "A proven, p2 from ? proven", "1 09:45": "A proven, ? unknown", "2 12:00": "A proven, ? unknown"},
	},
	"a journal that could not be read": {
		func(l *storetest.Life) {
			b := l.Row("A", "5 09:00", "5 18:00")
			b.Incomplete = true
			l.Sees("6 10:00", "B", "6 09:59", "", b, l.Row("B", "6 09:59", "6 10:00"))
		},
		map[string]string{"5 12:00": "A inferred, ? unknown", "6 09:59:30": "B proven, none proven"},
	},
	"a neighbour that could not read": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "4 00:00", "5 10:00")))
			l.Sees("5 20:00", "A", "1 09:00", "?")
			l.Sees("6 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "5 00:00", "6 10:00")))
		},
		map[string]string{"5 15:00": "A proven, p2 proven", "5 20:00": "A proven, p2 proven", "6 05:00": "A proven, p2 proven"},
	},
	"looks that overlap": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "5 10:00", l.Loads("1 09:00:02", "p2", "initrd")))
			l.Sees("9 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "4 10:00", "9 10:00")))
			l.Sees("12 10:00", "B", "12 09:59", "p2", storetest.StartLost(l.Row("A", "8 10:00", "11 10:00")), l.Row("B", "12 09:59", "12 10:00", l.Loads("12 09:59:02", "p2", "initrd")))
		},
		map[string]string{
			"3 12:00": "A proven, p2 proven", "7 12:00": "A proven, p2 proven",
			"10 12:00": "A proven, ? unknown", // that it was disabled would not show
		},
	},
	"a live patch that went unseen and came again": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p1", l.Row("A", "1 09:00", "5 10:00", l.Loads("1 09:00:02", "p1", "initrd")))
			again := l.Loads("7 12:00", "p1", "system")
			again.Completed = new(l.Stamp("7 13:00"))
			l.Sees("9 10:00", "A", "1 09:00", "p1", storetest.StartLost(l.Row("A", "4 10:00", "9 10:00", again)))
		},
		map[string]string{"7 12:30": "A proven, p1 from ? proven", "7 13:30": "A proven, p1 proven"},
	},
	"a transition that ended when it was seen": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("1 09:00:02", "p1", "initrd"), l.Loads("2 09:00", "p2", "system")
			p2.Result, p2.Completed = "unknown", nil
			o := l.Sees("2 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "2 10:00", p1, p2))
			o.LivePatch.Transition, o.LivePatch.Since = true, &p2.Time
			p2.Result, p2.Completed, p1.Replaced = "complete", new(l.Stamp("2 10:00")), "p2"
			l.Sees("3 10:00", "B", "3 09:00", "p2", l.Row("A", "1 09:00", "2 12:00", p1, p2), l.Row("B", "3 09:00", "3 10:00", l.Loads("3 09:00:02", "p2", "initrd")))
		},
		map[string]string{"2 09:30": "A proven, p2 from p1 proven", "2 11:00": "A proven, p2 proven"},
	},
	"a look at the very end of a transition": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("1 09:00:02", "p1", "initrd"), l.Loads("2 09:00", "p2", "system")
			p2.Completed, p1.Replaced = new(l.Stamp("2 10:00")), "p2"
			l.Sees("2 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "2 10:00", p1)).LivePatch.Transition = true
			l.Sees("2 12:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "2 12:00", p1, p2))
		},
		map[string]string{"2 09:30": "A proven, p2 from p1 proven", "2 11:00": "A proven, p2 proven"},
	},
	"a load whose end nobody could read": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("1 09:00:02", "p1", "initrd"), l.Loads("5 09:00", "p2", "system")
			l.Sees("4 10:00", "A", "1 09:00", "p1", l.Row("A", "1 09:00", "4 10:00", p1))
			p2.Result, p2.Completed = "unknown", nil
			b := l.Row("A", "1 09:00", "5 10:00", p1, p2)
			b.Incomplete = true
			l.Sees("5 10:00", "A", "1 09:00", "p2", b).LivePatch.Since = &p2.Time
		},
		map[string]string{"5 09:30": "A proven, p2 inferred", "5 10:00": "A proven, p2 proven"},
	},
	"a load that nobody could read, of which a look knows when it was": {
		func(l *storetest.Life) {
			l.Sees("4 10:00", "A", "1 09:00", "p1", l.Row("A", "1 09:00", "4 10:00", l.Loads("1 09:00:02", "p1", "initrd")))
			l.Sees("5 10:00", "A", "1 09:00", "p2").LivePatch.Since = new(l.Stamp("5 09:00"))
			l.Sees("5 12:00", "A", "1 09:00", "p2").LivePatch.Since = new(l.Stamp("5 09:00"))
		},
		map[string]string{"5 09:30": "A proven, p2 inferred", "5 11:00": "A proven, p2 proven"},
	},
	"a transition that takes days": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("1 09:00:02", "p1", "initrd"), l.Loads("2 09:00", "p2", "system")
			p2.Result, p2.Completed = "unknown", nil
			l.Sees("2 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "2 10:00", p1, p2)).LivePatch.Transition = true
			p2.Result, p2.Completed, p1.Replaced = "complete", new(l.Stamp("4 08:00")), "p2"
			l.Sees("4 10:00", "A", "1 09:00", "p2", l.Row("A", "1 09:00", "4 10:00", p1, p2))
		},
		map[string]string{"2 08:00": "A proven, p1 proven contained", "3 12:00": "A proven, p2 from ? proven", "4 09:00": "A proven, p2 proven"},
	},
	"a load that an observation of the spool showed first": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("3 09:00:02", "p1", "initrd"), l.Loads("3 21:00", "p2", "system")
			l.Sees("4 10:00", "A", "3 09:00", "p2", l.Row("A", "3 09:00", "4 10:00", p1, p2))
			l.Evs[0].Spooled = "the record is locked"
			l.Sees("6 10:00", "A", "3 09:00", "p2", l.Row("A", "3 09:00", "6 10:00", p1, p2))
		},
		map[string]string{"3 12:00": "A proven, p1 proven contained", "3 22:00": "A proven, p2 proven", "5 12:00": "A proven, p2 proven"},
	},
	"a load that an observation of the spool showed after the clock was set": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("3 09:00:02", "p1", "initrd"), l.Loads("5 21:00", "p2", "system")
			l.Sees("3 10:00", "A", "3 09:00", "p1", l.Row("A", "3 09:00", "3 10:00", p1))
			l.Sees("5 10:00", "A", "3 08:00", "p1", l.Row("A", "3 09:00", "5 10:00", p1))
			l.Sees("6 10:00", "A", "3 08:00", "?", l.Row("A", "3 09:00", "6 10:00", p1, p2))
			l.Evs[1].Spooled, l.Evs[2].Spooled = "the record is locked", "the record is locked"
			l.Sees("7 10:00", "A", "3 08:00", "?", l.Row("A", "3 09:00", "7 10:00", p1, p2))
		},
		map[string]string{"3 09:30": "A inferred, p1 inferred", "5 12:00": "A proven, p1 proven", "6 12:00": "A proven, p2 proven"},
	},
	"a load that began before the clock was set and was turned back after it": {
		func(l *storetest.Life) {
			load := l.Loads("3 09:30", "p2", "system")
			load.Result, load.Completed = "unknown", nil
			l.Sees("3 10:00", "A", "3 09:00", "p2", l.Row("A", "3 09:00", "3 10:00", load)).LivePatch.Transition = true
			l.Sees("5 10:00", "A", "3 08:00", "p2", l.Row("A", "3 09:00", "5 10:00", load)).LivePatch.Transition = true
			load.Result, load.Reverted = "reverted", new(l.Stamp("5 12:00"))
			l.Sees("6 10:00", "A", "3 08:00", "?", l.Row("A", "3 09:00", "6 10:00", load))
		},
		map[string]string{"5 11:00": "A proven, p2 from ? proven", "5 13:00": "A proven, ? unknown", "6 10:00": "A proven, ? unknown"},
	},
	"a clock that was set ahead and back within the boot": {
		func(l *storetest.Life) {
			l.Sees("3 10:00", "A", "3 09:00", "", l.Row("A", "3 09:00", "3 10:00"))
			l.Sees("4 12:00", "A", "3 11:00", "", l.Row("A", "3 09:00", "4 12:00"))
			load := slow(l.Loads("5 14:00", "p1", "system"), l.Stamp("5 13:00")) // it was set back before it was complete
			o := l.Sees("6 10:00", "A", "3 09:00", "p1", l.Row("A", "3 09:00", "6 10:00", load))
			o.LivePatch.Since = &load.Time
			l.Sees("7 10:00", "A", "3 09:00", "p1", l.Row("A", "3 09:00", "7 10:00", load)).LivePatch.Since = &load.Time
		},
		map[string]string{"3 09:30": "A inferred, none inferred", "5 13:30": "- unknown, ? unknown", "6 12:00": "A proven, p1 proven"},
	},
	"a clock that was set back after the last line that anybody read": {
		func(l *storetest.Life) {
			l.Sees("7 10:08", "A", "7 10:07", "", l.Row("A", "7 10:07", "7 10:08"))
			l.Sees("7 10:03", "A", "7 09:43", "")
		},
		map[string]string{"7 10:02": "- unknown, ? unknown", "7 10:03": "A proven, none proven", "7 10:06": "- unknown, ? unknown", "7 10:07:30": "- unknown, ? unknown"},
	},
	"a clock that was behind for a boot": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00"))
			l.Sees("5 12:05", "B", "5 12:00", "", l.Row("A", "5 09:00", "5 15:00"), l.Row("B", "5 12:00", "5 12:05")) // it was 15:02
		},
		map[string]string{"5 09:30": "A inferred, none inferred", "5 12:03": "B inferred, none inferred", "5 13:00": "- unknown, ? unknown"},
	},
	"a live patch that was disabled between two times that the clock was set": {
		func(l *storetest.Life) {
			load := l.Loads("3 09:30", "p2", "system")
			l.Sees("3 10:00", "A", "3 09:00", "p2", l.Row("A", "3 09:00", "3 10:00", load))
			l.Sees("5 10:00", "A", "3 11:00", "p2", l.Row("A", "3 09:00", "5 10:00", load))
			load.Disabled = new(l.Stamp("5 12:00"))
			l.Sees("6 10:00", "A", "3 11:00", "?", l.Row("A", "3 09:00", "6 10:00", load))
			l.Sees("8 10:00", "A", "3 15:00", "", l.Row("A", "3 09:00", "8 10:00", load))
		},
		map[string]string{"5 11:00": "A inferred, p2 inferred", "5 13:00": "A inferred, ? unknown"},
	},
	"a live patch that was disabled where the journal has lost its load": {
		func(l *storetest.Life) {
			l.Sees("4 10:00", "A", "1 09:00", "p1", l.Row("A", "1 09:00", "4 10:00", l.Loads("1 09:00:02", "p1", "initrd")))
			// On the 5th p1 was disabled: of a load that is not there the journal tells no end.
			l.Sees("8 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "4 00:00", "8 10:00", slow(l.Loads("7 09:00", "p2", "system"), l.Stamp("7 12:00")))))
		},
		map[string]string{"3 12:00": "A proven, p1 proven", "6 12:00": "A proven, ? unknown", "7 10:00": "A proven, p2 from ? proven", "7 13:00": "A proven, p2 proven"},
	},
	"a load under way whose end the journal does not tell, for it has lost its beginning": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p1", storetest.StartLost(l.Row("A", "4 09:00", "5 10:00"))).LivePatch.Transition = true
			l.Sees("7 10:00", "A", "1 09:00", "p1", storetest.StartLost(l.Row("A", "4 09:00", "7 10:00", l.Loads("6 06:30", "p2", "system"), l.Loads("6 14:30", "p1", "system"))))
		},
		map[string]string{"5 14:00": "A proven, ? unknown", "6 15:00": "A proven, p1 proven"},
	},
	"a clock that was ahead when the boot began, of which the journal has nothing later": {
		func(l *storetest.Life) {
			l.Sees("5 11:00", "A", "5 09:00", "")
			l.Sees("6 10:00", "B", "6 09:59", "", l.Row("A", "5 14:00", "5 14:05"), l.Row("B", "6 09:59", "6 10:00"))
		},
		map[string]string{"5 11:00": "A proven, none proven", "5 12:00": "- unknown, ? unknown"},
	},
	"a clock that was ahead when the boot began, of which the journal has the days after": {
		func(l *storetest.Life) {
			l.Sees("5 12:05", "A", "5 12:00", "")
			l.Sees("6 10:00", "A", "5 12:00", "")
			l.Sees("7 10:00", "B", "7 09:59", "", l.Row("A", "5 14:00", "7 08:50"), l.Row("B", "7 09:59", "7 10:00"))
		},
		map[string]string{"6 12:00": "A proven, none proven", "7 09:30": "- unknown, ? unknown"},
	},
	"a load whose beginning the journal lost, and which may have been under way": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "1 09:00", "p2", storetest.StartLost(l.Row("A", "4 10:00", "5 10:00")))
		},
		map[string]string{"4 12:00": "A proven, p2 inferred", "5 10:00": "A proven, p2 proven"},
	},
	"a live patch that was disabled by a clock which was behind for a while": {
		func(l *storetest.Life) {
			load := l.Loads("2 09:00:02", "p1", "initrd")
			l.Sees("5 05:37", "A", "2 09:00", "p1", l.Row("A", "2 09:00", "5 05:37", load))
			load.Disabled = new(l.Stamp("5 01:35")) // it was 5 10:00
			l.Sees("7 05:37", "A", "2 09:00", "p2", l.Row("A", "2 09:00", "7 05:37", load, l.Loads("5 11:29", "p2", "system")))
		},
		map[string]string{"5 00:00": "A proven, p1 proven contained", "5 03:00": "A proven, ? unknown", "5 11:00": "A proven, ? unknown", "5 12:00": "A proven, p2 proven"},
	},
	"a live patch that was disabled, of which a later look has lost the line, and takes it for replaced": {
		func(l *storetest.Life) {
			p2, p1 := l.Loads("6 04:52", "p2", "system"), l.Loads("8 01:13", "p1", "system")
			p2.Disabled = new(l.Stamp("8 00:24"))
			l.Sees("13 03:18", "A", "2 09:00", "?", l.Row("A", "2 09:00", "13 03:18", p2, p1))
			p2.Disabled, p2.Replaced = nil, "p1"
			row := l.Row("A", "2 09:00", "14 03:18", p2, p1)
			row.Incomplete = true
			l.Sees("14 03:18", "A", "2 09:00", "p1", row)
		},
		map[string]string{"7 12:00": "A proven, p2 proven", "8 01:00": "A proven, none proven", "8 02:00": "A proven, p1 proven"},
	},
	"a load by a clock that was set back after somebody looked": {
		func(l *storetest.Life) {
			p2, p3 := l.Loads("8 05:39", "p2", "system"), l.Loads("8 05:05", "p3", "system") // it was 19:00
			l.Sees("8 06:34", "A", "7 00:19", "p2", l.Row("A", "7 00:19", "8 06:34", p2))
			l.Sees("8 23:20", "B", "8 23:19", "p3", l.Row("A", "7 00:19", "8 20:25", p2, p3), l.Row("B", "8 23:19", "8 23:20"))
		},
		map[string]string{"8 06:00": "A proven, p2 proven", "8 12:00": "A proven, ? unknown"},
	},
	"a live patch that was disabled, of whose load a later look has lost the end": {
		func(l *storetest.Life) {
			p1 := l.Loads("2 09:00:47", "p1", "system")
			p1.Disabled = new(l.Stamp("7 12:44"))
			l.Sees("8 20:15", "A", "2 09:00", "?", l.Row("A", "2 09:00", "8 20:15", p1))
			p1.Result, p1.Completed, p1.Disabled, p1.Reverted = "reverted", nil, nil, new(l.Stamp("7 12:46"))
			row := l.Row("A", "2 09:00", "9 21:29", p1)
			row.Incomplete = true
			l.Sees("9 21:29", "A", "2 09:00", "", row)
		},
		map[string]string{"7 12:00": "A proven, p1 proven", "7 12:45": "A proven, none proven", "8 00:00": "A proven, none proven"},
	},
	"a load that was turned back by a clock which was behind for a while": {
		func(l *storetest.Life) {
			p1, p2 := l.Loads("2 09:00:02", "p1", "initrd"), l.Loads("5 01:00", "p2", "system")
			p2.Result, p2.Completed = "unknown", nil
			l.Sees("5 05:37", "A", "2 09:00", "p2", l.Row("A", "2 09:00", "5 05:37", p1, p2)).LivePatch.Transition = true
			p2.Result, p2.Reverted = "reverted", new(l.Stamp("5 01:35")) // it was 5 10:00
			l.Sees("7 05:37", "A", "2 09:00", "?", l.Row("A", "2 09:00", "7 05:37", p1, p2))
		},
		map[string]string{"5 00:00": "A proven, p1 proven contained", "5 08:00": "A proven, ? unknown", "5 12:00": "A proven, ? unknown"},
	},
	"a load that ended while somebody looked": {
		func(l *storetest.Life) {
			p2, p3 := l.Loads("5 09:00:02", "p2", "initrd"), slow(l.Loads("6 10:00:01", "p3", "system"), l.Stamp("6 10:00:03"))
			l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", p2))
			l.Sees("6 10:00", "A", "5 09:00", "p3", l.Row("A", "5 09:00", "6 10:00:05", p2, p3)).LivePatch.Since = &p3.Time
		},
		map[string]string{"5 12:00": "A proven, p2 proven", "6 10:00": "A proven, p2 proven", "6 10:00:04": "A proven, p3 proven"},
	},
	"another end of a commit": {
		func(l *storetest.Life) {
			l.Sees("5 10:00", "A", "5 09:00", "", l.Row("A", "5 09:00", "5 10:00"))
			e := l.Event(record.KindCommitEnd, "5 15:00", "A", "5 09:00")
			e.End = &record.CommitEnd{Commit: "019ca8d5-0000-7000-8000-000000000999", Outcome: record.OutcomeInterrupted, Changes: []record.Change{}}
			l.Sees("6 10:00", "B", "6 09:59", "", l.Row("B", "6 09:59", "6 10:00"))
		},
		map[string]string{"5 14:00": "A proven, ? unknown", "5 15:30": "- unknown, ? unknown"},
	},
}

// slow is a load that was complete later.
func slow(load record.Load, complete record.Timestamp) record.Load {
	load.Completed = &complete
	return load
}

func TestTroubles(t *testing.T) {
	for name, tt := range troubles {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			tt.tell(l)
			s := l.OpenRecord()
			for at, want := range tt.want {
				if got := told(t, s, at); got != want {
					t.Errorf("%s: %s, want %s", at, got, want)
				}
			}
		})
	}
}

// A moment's answer is the same, whether a state, a minute or the whole record is asked for it,
// and spans neither overlap nor leave a hole.
func TestOneAnswerForAMoment(t *testing.T) {
	for name, tt := range troubles {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			tt.tell(l)
			oneAnswer(t, storetest.InMemory(t, l.OpenRecord(), nil), l.Evs)
		})
	}
	for seed := range uint64(storetest.Few(1, 3)) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			m := storetest.RandomMachine(t, storetest.NewRand(seed))
			oneAnswer(t, storetest.InMemory(t, m.OpenRecord(), nil), m.All)
		})
	}
}

func oneAnswer(t *testing.T, s Reader, evs []*record.Event) {
	t.Helper()
	whole, err := WholeTimeline(t.Context(), s)
	storetest.Check(t, err)
	checkSpans(t, whole)
	for _, at := range momentsOf(evs) {
		if at.Before(whole.From.Time) || !at.Before(whole.To.Time) {
			continue
		}
		want := cutTo(whole, at, at.Add(instant))
		for _, around := range []time.Duration{0, time.Minute, 100 * time.Hour} {
			tl, err := NewTimeline(t.Context(), s, at.Add(-around), at.Add(around+instant))
			storetest.Check(t, err)
			checkSpans(t, tl)
			if got := tells(cutTo(tl, at, at.Add(instant))); got != tells(want) {
				t.Errorf("%s: %s within %s, the whole record says %s", at, got, around, tells(want))
			}
		}
		st, err := NewState(t.Context(), s, at)
		storetest.Check(t, err)
		checkAgainstTimeline(t, whole, st)
	}
}

func cutTo(tl *Timeline, from, to time.Time) *Timeline {
	return &Timeline{Kernels: filled(tl.Kernels, from, to), Patches: filled(tl.Patches, from, to), Initrds: filled(tl.Initrds, from, to)}
}

// momentsOf are the times that events name, and the ones just before and after.
func momentsOf(evs []*record.Event) (list []time.Time) {
	add := func(at time.Time) { list = append(list, at.Add(-instant), at, at.Add(instant)) }
	for i, ev := range evs {
		if i%max(1, len(evs)/12) != 0 {
			continue
		}
		add(ev.Time.Time)
		if ev.Observation == nil {
			continue
		}
		for _, b := range ev.Observation.Boots {
			add(b.First.Time)
			add(b.Last.Time)
			for _, l := range b.Loads {
				add(l.Time.Time)
			}
		}
	}
	slices.SortFunc(list, time.Time.Compare)
	return slices.Compact(list)
}

// When a live patch was loaded is said of that patch alone, and is never after the moment.
func TestSinceIsOfThatPatch(t *testing.T) {
	for name, tt := range troubles {
		t.Run(name, func(t *testing.T) {
			l := &storetest.Life{T: t}
			tt.tell(l)
			whole, err := WholeTimeline(t.Context(), l.OpenRecord())
			storetest.Check(t, err)
			for _, p := range whole.Patches {
				if p.Since != nil && p.Since.After(p.From.Time) {
					t.Errorf("%s from %s on, since %s", p.Module, p.From, p.Since)
				}
			}
		})
	}
}

// A load that was complete was disabled later, also where a journal that lost messages takes it for one that was
// turned back; which live patch is active since is then not known.
func TestTurnedBackAfterItWasComplete(t *testing.T) {
	l := &storetest.Life{T: t}
	load := l.Loads("5 09:00:02", "p2", "initrd")
	l.Sees("5 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "5 10:00", load))
	load.Result, load.Completed, load.Reverted = "reverted", nil, new(l.Stamp("5 14:00"))
	row := l.Row("A", "5 09:00", "5 18:00", load)
	row.MessagesLost = true
	o := l.Sees("5 18:00", "A", "5 09:00", "p2", row)
	o.Patches, o.LivePatch = nil, nil
	for _, late := range []bool{false, true} {
		if late {
			l.Evs[0], l.Evs[1] = l.Evs[1], l.Evs[0] // the first look waited
			l.Evs[1].Spooled = "record locked"
		}
		s := l.OpenRecord()
		boots, err := s.Boots(t.Context(), l.Stamp("1 00:00").Time, record.Always())
		storetest.Check(t, err)
		if got := boots[0].Loads[0]; got.Result != "complete" || got.Reverted != nil || !orZero(got.Disabled).Equal(l.Stamp("5 14:00").Time) {
			t.Errorf("%+v", got)
		}
		for _, e := range exposuresAt(t, s, record.Always()) {
			if e.Status == StatusFixed {
				t.Errorf("%s is fixed", e.CVE)
			}
		}
	}
}

// While the next boot is loading it from its initrd, a fix is not lost: when it was before that boot is not known.
func TestNotLostWhileTheInitrdLoads(t *testing.T) {
	l := &storetest.Life{T: t}
	row := l.Row("A", "5 09:00", "6 10:00", l.Loads("5 09:00:02", "p2", "initrd"))
	row.MessagesLost = true
	l.Sees("6 10:00", "A", "5 09:00", "p2", row)
	load := slow(l.Loads("7 09:00:02", "p2", "initrd"), l.Stamp("7 09:00:06"))
	l.Sees("7 10:00", "B", "7 09:00", "p2", l.Row("B", "7 09:00", "7 10:00", load))
	s := l.OpenRecord()
	for at, want := range map[string]ExposureStatus{"7 09:00:01": StatusUnknown, "7 09:00:04": StatusUnknown, "7 09:00:07": StatusFixed} {
		for _, e := range exposuresAt(t, s, storetest.March(t, at)) {
			if e.Status != want || slices.ContainsFunc(e.Intervals, func(in Interval) bool { return in.Lost != nil }) {
				t.Errorf("%s: %s is %s (%s), %v", at, e.CVE, e.Status, e.Reason, e.Intervals)
			}
		}
	}
}

// What took a fix away is not known where nobody knows what became of it before its boot ended.
func TestLostByTheBootOnlyIfItLasted(t *testing.T) {
	for name, tt := range map[string]struct {
		until string // the boot that had it is on record
		lost  bool   // messages of it are
		next  string // the next one began
		want  LossCause
	}{
		"until it ended":                    {"6 23:00", false, "6 23:10", LostByBoot},
		"messages are lost":                 {"6 23:00", true, "6 23:10", LostByUnknown},
		"nobody knows what was until night": {"6 10:00", false, "6 23:10", LostByUnknown},
	} {
		l := &storetest.Life{T: t}
		load := l.Loads("5 09:00:02", "p2", "initrd")
		l.Sees("6 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "6 10:00", load))
		row := l.Row("A", "5 09:00", tt.until, load)
		row.MessagesLost = tt.lost
		l.Sees("7 10:00", "B", tt.next, "", row, l.Row("B", tt.next, "7 10:00"))
		for _, e := range exposuresAt(t, l.OpenRecord(), record.Always()) {
			if last := e.Intervals[len(e.Intervals)-1]; last.LostBy != tt.want {
				t.Errorf("%s: %s lost by %s, want %s", name, e.CVE, last.LostBy, tt.want)
			}
		}
	}
}

// A clock that was set back in a boot makes its start look earlier than it was: a fix is not known to have been lost then.
func TestLostInABootWhoseClockWasSetBack(t *testing.T) {
	l := &storetest.Life{T: t}
	load := l.Loads("5 09:00:02", "p2", "initrd")
	l.Sees("6 10:00", "A", "5 09:00", "p2", l.Row("A", "5 09:00", "6 10:00", load))
	// It began at 20:17, and the clock was set back by four hours and a half: by that it began at 15:53.
	l.Sees("6 19:52", "B", "6 15:53", "", l.Row("A", "5 09:00", "6 20:11", load), l.Row("B", "6 20:17", "6 19:52"))
	for _, e := range exposuresAt(t, l.OpenRecord(), record.Always()) {
		if last := e.Intervals[len(e.Intervals)-1]; last.Lost == nil || last.Lost.Before(storetest.March(t, "6 19:52")) {
			t.Errorf("%s: lost at %v", e.CVE, last.Lost)
		}
	}
}

// A clock that was set in a boot parts what is known of it: what was before that stays when it was.
func TestLostBeforeTheClockWasSet(t *testing.T) {
	for began, at := range map[string]string{"4 06:08": "set back", "4 12:45": "set forward"} {
		l := &storetest.Life{T: t}
		gone := l.Loads("5 09:00:10", "p2", "system")
		gone.Disabled = new(l.Stamp("6 21:59:45"))
		again := l.Loads("6 23:48:43", "p3", "system")
		l.Sees("6 10:00", "A", "4 09:00", "p2", l.Row("A", "4 09:00", "6 10:00", l.Loads("5 09:00:10", "p2", "system")))
		l.Sees("6 23:50", "A", "4 09:00", "p3", l.Row("A", "4 09:00", "6 23:50", gone, again))
		l.Sees("7 13:37", "A", began, "p3", l.Row("A", "4 09:00", "7 13:37", gone, again))
		lost := 0
		for _, e := range exposuresAt(t, l.OpenRecord(), record.Always()) {
			if e.Lost == nil {
				continue
			}
			if lost++; !e.Lost.Equal(gone.Disabled.Time) || e.LostBy != LostByDisabling {
				t.Errorf("%s: %s lost at %s by %s, want %s", at, e.CVE, e.Lost, e.LostBy, gone.Disabled)
			}
		}
		if lost == 0 {
			t.Errorf("%s: nothing was lost", at)
		}
	}
}
