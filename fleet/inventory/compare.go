package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Host is a host that the collector knows.
type Host struct {
	Log       string     `json:"log"` // id; empty: the collector knows no such host
	Name      string     `json:"name"`
	Hostname  string     `json:"hostname"`   // as its newest event says; empty: it has sent nothing
	MachineID string     `json:"machine_id"` // likewise
	State     string     `json:"state"`      // pending, approved, retired
	Heard     *time.Time `json:"heard"`      // null: never
}

// Status says what became of a machine.
type Status string

// The statuses. A machine of the inventory has one of the first six.
const (
	Reporting   Status = "reporting"        // approved, and heard of
	Silent      Status = "silent"           // approved, and not heard of for too long
	Pending     Status = "pending"          // sends, and waits for approval
	Retired     Status = "retired"          // was taken out of the population
	Other       Status = "other-machine"    // a host of its name sends, with another machine id
	NotEnrolled Status = "not-enrolled"     // nobody sends for it
	Twice       Status = "twice"            // two approved hosts say that they are it: a clone, or the machine was installed again
	NeverSent   Status = "never-sent"       // a key was enrolled, and nothing came: whose it is is not known
	Unexpected  Status = "not-in-inventory" // a host that the inventory does not have
)

// Statuses returns the closed set of statuses.
func Statuses() []Status {
	return []Status{Reporting, Silent, Pending, Retired, Other, NotEnrolled, Twice, NeverSent, Unexpected}
}

// Row is a machine of the inventory, a host of the collector, or both.
type Row struct {
	Status    Status `json:"status"`
	Line      int    `json:"line"` // of the inventory; 0: it has no such machine
	Hostname  string `json:"hostname"`
	MachineID string `json:"machine_id"`
	Host      Host   `json:"host"`
}

// Population is what there should be and what there is.
type Population struct {
	Machines int            `json:"machines"` // of the inventory
	Counts   map[Status]int `json:"counts"`   // all statuses are there
	Rows     []Row          `json:"rows"`     // all but those that report, the statuses in their order
}

// Compare compares an inventory with hosts, at a moment; who was heard of before since is silent. Machines are told by
// their id; if one of both is not known, by their name, of which one may lack its domain.
func Compare(machines []Machine, hosts []Host, since time.Time) *Population {
	p := &Population{Machines: len(machines), Counts: map[Status]int{}, Rows: []Row{}}
	for _, s := range Statuses() {
		p.Counts[s] = 0
	}
	known, taken := newIndex(hosts), map[*Host]bool{}
	for _, m := range machines {
		found := known.of(m)
		row := Row{Status: NotEnrolled, Line: m.Line, Hostname: m.Hostname, MachineID: m.MachineID}
		var best *Host
		if len(found) > 0 {
			best = slices.MinFunc(found, func(a, b *Host) int { return cmp.Compare(rank(m, a, since), rank(m, b, since)) })
			row.Status, row.Host, taken[best] = statusOf(m, best, since), *best, true
		}
		p.add(row)
		for _, h := range approved(m, found) {
			if taken[h] = true; h != best {
				row.Status, row.Host = Twice, *h
				p.add(row)
			}
		}
	}
	for i := range hosts {
		h := &hosts[i]
		switch {
		case taken[h] || h.State == string(Retired):
		case h.Heard == nil:
			p.add(Row{Status: NeverSent, Host: *h})
		default:
			p.add(Row{Status: Unexpected, Hostname: h.Hostname, MachineID: h.MachineID, Host: *h})
		}
	}
	slices.SortStableFunc(p.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(place(a.Status), place(b.Status)), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Hostname, b.Hostname), cmp.Compare(a.Host.Name, b.Host.Name))
	})
	return p
}

func (p *Population) add(r Row) {
	p.Counts[r.Status]++
	if r.Status != Reporting {
		p.Rows = append(p.Rows, r)
	}
}

func place(s Status) int { return slices.Index(Statuses(), s) }

// rank says how much a host is the machine: the smaller, the more.
func rank(m Machine, h *Host, since time.Time) int { return place(statusOf(m, h, since)) }

func statusOf(m Machine, h *Host, since time.Time) Status {
	switch {
	case m.MachineID != "" && h.MachineID != "" && m.MachineID != bareID(h.MachineID):
		return Other
	case h.State == string(Pending):
		return Pending
	case h.State == string(Retired):
		return Retired
	case h.Heard == nil || h.Heard.Before(since):
		return Silent
	}
	return Reporting
}

// approved are the hosts in the population that say they are a machine, whether they are heard of or not.
func approved(m Machine, found []*Host) []*Host {
	return slices.DeleteFunc(slices.Clone(found), func(h *Host) bool {
		return h.State != "approved" || statusOf(m, h, time.Time{}) == Other
	})
}

// index finds hosts by what is known of machines.
type index struct {
	ids, names map[string][]*Host // names without their domain
}

func newIndex(hosts []Host) *index {
	x := &index{ids: map[string][]*Host{}, names: map[string][]*Host{}}
	for i := range hosts {
		h := &hosts[i]
		if id := bareID(h.MachineID); id != "" {
			x.ids[id] = append(x.ids[id], h)
		}
		if h.Hostname != "" {
			x.names[label(h.Hostname)] = append(x.names[label(h.Hostname)], h)
		}
	}
	return x
}

// of are the hosts that may be a machine.
func (x *index) of(m Machine) (found []*Host) {
	if m.MachineID != "" {
		found = x.ids[m.MachineID]
	}
	if len(found) == 0 && m.Hostname != "" {
		for _, h := range x.names[label(m.Hostname)] {
			if sameName(m.Hostname, h.Hostname) {
				found = append(found, h)
			}
		}
	}
	return found
}

// label is a host's name without its domain.
func label(name string) string {
	first, _, _ := strings.Cut(strings.ToLower(name), ".")
	return first
}

// sameName says whether two names may be of one host.
func sameName(a, b string) bool {
	return strings.EqualFold(a, b) || label(a) == label(b) && (!strings.Contains(a, ".") || !strings.Contains(b, "."))
}
