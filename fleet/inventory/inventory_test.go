package inventory

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const id1, id2, id3 = "0123456789abcdef0123456789abcdef", "1123456789abcdef0123456789abcdef", "2123456789abcdef0123456789abcdef"

// What spreadsheets, databases and people write is read alike.
func TestRead(t *testing.T) {
	want := []Machine{{2, "web1", id1}, {3, "db1.example.com", ""}}
	for name, text := range map[string]string{
		"commas":                "hostname,machine_id\nweb1," + id1 + "\ndb1.example.com,\n",
		"other columns":         "id,Machine_ID,HOSTNAME,note\n1," + id1 + ",web1,\"a, b\"\n2,,db1.example.com,\n",
		"semicolons and CRLF":   "\xef\xbb\xbfhostname;machine_id;a,b\r\nweb1;" + id1 + ";\r\ndb1.example.com;;\r\n",
		"tabs":                  "hostname\tmachine_id\nweb1\t" + strings.ToUpper(id1) + "\ndb1.example.com\t\n",
		"tabs, the first empty": "machine_id\thostname\n" + id1 + "\tweb1\n\tdb1.example.com\n",
		"UUIDs":                 "machine_id, hostname\n01234567-89ab-cdef-0123-456789abcdef, web1\n, db1.example.com\n",
	} {
		if list, err := Read(strings.NewReader(text)); err != nil || !reflect.DeepEqual(list, want) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// What cannot be read is named, with its place.
func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "it is empty: want a line with the names of columns",
		"hostname\n":                            "it names no machine",
		"host,id\nweb1,1\n":                     "line 1: no column is named hostname or machine_id",
		"hostname,a\nweb1,1\nweb2\n":            "line 3: it has more or fewer columns than the first line",
		"hostname,a\nweb1,1\n ,2\n":             "line 3: it has neither a hostname nor a machine_id",
		"hostname\n\"web1\nweb2\n":              "line 3, column 6: extraneous or missing \" in quoted-field",
		"hostname\n" + strings.Repeat("x", 256): "line 2: a name of more than 255 bytes",
	} {
		if list, err := Read(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, %v, want %s", text, list, err, want)
		}
	}
}

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

func sends(name, hostname, id, state string, ago time.Duration) Host {
	h := Host{Log: "log of " + name, Name: name, Hostname: hostname, MachineID: id, State: state}
	if ago >= 0 {
		h.Heard = new(now.Add(-ago))
	}
	return h
}

// Each machine of the inventory has one status, and each host that it does not have is named.
func TestCompare(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		machines []Machine
		hosts    []Host
		want     string
	}{
		"by id":                  {[]Machine{{2, "web1", id1}}, []Host{sends("a", "renamed", id1, "approved", day)}, "1 reporting"},
		"by name":                {[]Machine{{2, "WEB1", ""}}, []Host{sends("a", "web1", id1, "approved", day)}, "1 reporting"},
		"without its domain":     {[]Machine{{2, "web1.example.com", ""}}, []Host{sends("a", "web1", id1, "approved", day)}, "1 reporting"},
		"another domain":         {[]Machine{{2, "web1.a.com", ""}}, []Host{sends("a", "web1.b.com", id1, "approved", day)}, "1 not-enrolled, 1 not-in-inventory: not-enrolled 2, not-in-inventory a"},
		"silent":                 {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "approved", 3*day)}, "1 silent: silent 2 a"},
		"pending":                {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "pending", 0)}, "1 pending: pending 2 a"},
		"retired":                {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "retired", 0)}, "1 retired: retired 2 a"},
		"retired and gone":       {[]Machine{{2, "web2", id2}}, []Host{sends("a", "web1", id1, "retired", 0), sends("b", "web2", id2, "approved", 0)}, "1 reporting"},
		"installed again":        {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "retired", 9*day), sends("b", "web1", id1, "approved", 0)}, "1 reporting"},
		"another id":             {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id2, "approved", 0)}, "1 other-machine: other-machine 2 a"},
		"nobody":                 {[]Machine{{2, "web1", id1}}, nil, "1 not-enrolled: not-enrolled 2"},
		"a clone":                {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "approved", 0), sends("b", "copy", id1, "approved", 9*day)}, "1 reporting, 1 twice: twice 2 b"},
		"a stranger of its name": {[]Machine{{2, "web1", ""}}, []Host{sends("a", "web1", id2, "pending", 0), sends("b", "web1", id1, "approved", 0)}, "1 reporting, 1 not-in-inventory: not-in-inventory a"},
		"three of it":            {[]Machine{{2, "", id1}}, []Host{sends("a", "web1", id1, "approved", 9*day), sends("b", "web1", id1, "approved", 0), sends("c", "web1", id1, "approved", 0)}, "1 reporting, 2 twice: twice 2 a, twice 2 c"},
		"a key alone":            {[]Machine{{2, "web1", id1}}, []Host{sends("a", "", "", "approved", -1)}, "1 not-enrolled, 1 never-sent: not-enrolled 2, never-sent a"},
		"not in the inventory": {[]Machine{{2, "web1", id1}}, []Host{sends("a", "web1", id1, "approved", 0), sends("b", "web2", id2, "pending", 0), sends("c", "web3", id3, "approved", 9*day)},
			"1 reporting, 2 not-in-inventory: not-in-inventory b, not-in-inventory c"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Compare(c.machines, c.hosts, now.Add(-2*day))
			var counts, rows []string
			of := 0
			for i, s := range Statuses() {
				if n := p.Counts[s]; n > 0 {
					counts = append(counts, fmt.Sprintf("%d %s", n, s))
				}
				if i < 6 {
					of += p.Counts[s]
				}
			}
			for _, r := range p.Rows {
				row := string(r.Status)
				if r.Line > 0 {
					row += fmt.Sprintf(" %d", r.Line)
				}
				rows = append(rows, strings.TrimSpace(row+" "+r.Host.Name))
			}
			text := strings.Join(counts, ", ")
			if len(rows) > 0 {
				text += ": " + strings.Join(rows, ", ")
			}
			if text != c.want {
				t.Errorf("%s, want %s", text, c.want)
			}
			if of != p.Machines || p.Machines != len(c.machines) {
				t.Errorf("%d of %d machines have a status", of, len(c.machines))
			}
		})
	}
}

// Anything is read or refused, and what is read has each machine once.
func FuzzRead(f *testing.F) {
	f.Add("hostname,machine_id\nweb1," + id1 + "\n")
	f.Add("\xef\xbb\xbfhostname;machine_id\r\n\"a\"\"b\";\r\n")
	f.Add("machine_id\thostname\n\n\t\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Read(strings.NewReader(text))
		if err != nil {
			return
		}
		for i, m := range list {
			if m.Hostname == "" && m.MachineID == "" || m.Line < 2 || i > 0 && m.Line <= list[i-1].Line {
				t.Errorf("%+v", list)
			}
		}
		if p := Compare(list, nil, now); p.Counts[NotEnrolled] != len(list) {
			t.Errorf("%+v", p)
		}
	})
}
