package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/fleet/ingest"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

func (a *app) showCommand() *cobra.Command {
	var format, state string
	cmd := &cobra.Command{
		Use:   "show [HOST]",
		Short: "Show what is known of a host's log, or list the logs",
		Long: `Show what the collector knows of the log of HOST: its keys, its size, its branches, what an auditor
should know, and what the newest verification found. Without HOST, list all logs.`,
		Example: `  klp-audit-fleet show --state pending
  klp-audit-fleet show web1`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case format != "table" && format != "json":
				return usageError{fmt.Errorf("--format %q: want table or json", format)}
			case state != "" && state != string(pg.Pending) && state != string(pg.Approved) && state != string(pg.Retired):
				return usageError{fmt.Errorf("--state %q: want pending, approved or retired", state)}
			case state != "" && len(args) > 0:
				return usageError{errors.New("--state goes without a HOST")}
			}
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			if len(args) == 0 {
				return a.list(cmd.Context(), db, pg.State(state), format)
			}
			l, err := one(cmd.Context(), db, args[0])
			if err != nil {
				return err
			}
			return a.show(cmd.Context(), db, l, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "print as `FORMAT`: table, json")
	cmd.Flags().StringVar(&state, "state", "", "list only logs that are `STATE`: pending, approved, retired")
	return cmd
}

// style is how tables are drawn: in the columns of the terminal; in a pipe, each as wide as it is.
func (a *app) style() table.Style {
	if f, ok := a.Stdout.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return table.Style{Width: w}
		}
	}
	return table.Style{}
}

// host is what show says of a log. Its JSON is published.
type host struct {
	Log        string           `json:"log"`
	Name       string           `json:"name"`
	Hostname   string           `json:"hostname"`
	MachineID  string           `json:"machine_id"`
	Tenant     int              `json:"tenant"`
	State      pg.State         `json:"state"`
	StateSince time.Time        `json:"state_since"`
	Reason     string           `json:"reason"`
	Key        string           `json:"key"` // that signs now
	Keys       []pg.KeyFrom     `json:"keys"`
	Events     int64            `json:"events"`
	FirstEvent *time.Time       `json:"first_event"`
	LastEvent  *time.Time       `json:"last_event"`
	Heard      time.Time        `json:"heard"`
	Behind     int64            `json:"behind"` // events that the newest upload lacks
	Branch     int              `json:"branch"`
	Branches   []fork           `json:"branches"`
	Findings   []pg.Finding     `json:"findings"`
	Refused    []pg.Refusal     `json:"refused"`
	Others     []string         `json:"same_machine"` // other logs of the same machine id
	Withheld   *pg.Statement    `json:"withheld"`
	Verified   *pg.Verification `json:"verified"`
}

// fork is another history of a log.
type fork struct {
	Branch   int        `json:"branch"`
	Cause    pg.Cause   `json:"cause"`
	Base     *int       `json:"base"`
	Common   *int64     `json:"common"`
	Whole    bool       `json:"whole"`
	Events   int64      `json:"events"`
	Root     string     `json:"root_hash"`
	Opened   time.Time  `json:"opened"`
	Received time.Time  `json:"received"`
	Accepted *time.Time `json:"accepted"`
	Reason   string     `json:"reason"`
}

// hostOf returns what a log's own rows say.
func hostOf(l *pg.Log) (*host, error) {
	b := l.Current()
	h := &host{
		Log: l.ID.String(), Name: l.Name, Hostname: b.Hostname, MachineID: b.MachineID, Tenant: l.Tenant, State: l.State, StateSince: l.StateSince, Reason: l.Reason,
		Key: b.Key, Keys: b.Keys, Events: b.Size, FirstEvent: b.FirstEvent, LastEvent: b.LastEvent, Heard: b.Heard, Branch: l.Branch,
	}
	if b.HeardSize > 0 {
		h.Behind = b.Size - b.HeardSize
	}
	for i := range l.Branches {
		o := &l.Branches[i]
		tree, err := proof.NewTree(o.Size, o.Tree)
		if err != nil {
			return nil, fmt.Errorf("reading branch %d of log %s: %w", o.Number, l.Name, err)
		}
		root, err := tree.Root()
		if err != nil {
			return nil, err
		}
		h.Branches = append(h.Branches, fork{o.Number, o.Cause, o.Base, o.Common, l.Whole(o.Number), o.Size, root.String(), o.Opened, o.Received, o.Accepted, o.Reason})
	}
	return h, nil
}

// Integrity says in a word what is known of a log's history.
func (h *host) integrity() string {
	switch {
	case h.Verified != nil && h.Verified.Result != string(proof.Intact):
		return h.Verified.Result
	case h.open(pg.Forked):
		return "forked"
	case h.open(pg.LostKey):
		return "new key"
	case h.Behind > 0:
		return "behind"
	}
	return ""
}

// open says whether a branch waits for somebody to look at it.
func (h *host) open(cause pg.Cause) bool {
	for _, f := range h.Branches {
		if f.Cause == cause && f.Branch > h.Branch {
			return true
		}
	}
	return false
}

func (a *app) list(ctx context.Context, db *pg.DB, state pg.State, format string) error {
	logs, err := db.All(ctx, state)
	if err != nil {
		return err
	}
	hosts := make([]*host, len(logs))
	for i, l := range logs {
		if hosts[i], err = hostOf(l); err != nil {
			return err
		}
	}
	slices.SortStableFunc(hosts, func(p, q *host) int { return cmp.Or(cmp.Compare(p.Hostname, q.Hostname), cmp.Compare(p.Name, q.Name)) })
	if format == "json" {
		return writeJSON(a.Stdout, hosts)
	}
	var cells [][]string
	for _, h := range hosts {
		cells = append(cells, []string{say.OrUnknown(h.Hostname), say.Printable(h.Name), string(h.State), fmt.Sprint(h.Events), moment(h.LastEvent), short(h.Heard), h.integrity()})
	}
	if len(cells) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "no logs")
		return err
	}
	return table.Render(a.Stdout, []string{"HOST", "KEY", "STATE", "EVENTS", "LAST EVENT", "HEARD", "INTEGRITY"}, cells, a.style().Sized())
}

// moment is a time that may not be known.
func moment(t *time.Time) string {
	if t == nil {
		return "none"
	}
	return short(*t)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func (a *app) show(ctx context.Context, db *pg.DB, l *pg.Log, format string) error {
	h, err := a.read(ctx, db, l)
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(a.Stdout, h)
	}
	facts := h.facts()
	return facts.Write(a.Stdout, a.style().Sized())
}

// read reads all that show says of a log.
func (a *app) read(ctx context.Context, db *pg.DB, l *pg.Log) (*host, error) {
	h, err := hostOf(l)
	if err != nil {
		return nil, err
	}
	if h.Findings, err = db.Findings(ctx, l.ID, l.Branch); err != nil {
		return nil, err
	}
	if h.Refused, err = db.Refusals(ctx, l.ID); err != nil {
		return nil, err
	}
	if h.Withheld, err = db.Withheld(ctx, l.ID, l.Branch); err != nil {
		return nil, err
	}
	if h.Verified, err = db.Verified(ctx, l.ID); err != nil {
		return nil, err
	}
	others, err := db.Others(ctx, l)
	h.Others = []string{}
	for _, o := range others {
		h.Others = append(h.Others, fmt.Sprintf("%s, %s, last heard %s", o.Name, o.State, short(o.Current().Heard)))
	}
	return h, err
}

// facts are what show prints.
func (h *host) facts() (f table.Facts) {
	f.Add("Host", "%s, machine id %s", say.OrUnknown(h.Hostname), say.OrUnknown(h.MachineID))
	f.Add("Log", "%s (%s)", h.Name, h.Log)
	f.Add("State", "%s since %s%s", h.State, short(h.StateSince), in(h.Reason))
	f.Add("Key", "%s", h.Key)
	f.Add("Events", "%d, from %s to %s, in branch %d", h.Events, moment(h.FirstEvent), moment(h.LastEvent), h.Branch)
	f.Add("Last heard", "%s", short(h.Heard))
	if h.Behind > 0 {
		f.Add("Behind", "the newest upload lacks the last %d events: the host may have gone back to a snapshot", h.Behind)
	}
	for _, k := range h.Keys[min(1, len(h.Keys)):] {
		f.Add("Change of key", "from event %d on, %s", k.Event, k.Key)
	}
	for _, o := range h.Branches {
		if o.Branch != h.Branch {
			f.Add(fmt.Sprintf("Branch %d", o.Branch), "%s", o.text())
		}
	}
	for _, x := range h.Findings {
		f.Add("Finding", "%s", findingText(x))
	}
	for _, r := range h.Refused {
		f.Add("Refused", "%s, events %d to %d: %s", short(r.Received), r.Since+1, r.Size, say.Some(r.Problems))
	}
	for _, o := range h.Others {
		f.Add("Same machine id", "%s: a clone, or the machine was installed again", o)
	}
	if h.Withheld != nil {
		f.Add("Withheld", "the bodies of %d events, since %s:\n%s", h.Withheld.Bodies, short(h.Withheld.Stated), h.Withheld.Text)
	}
	switch v := h.Verified; {
	case v == nil:
		f.Add("Verified", "not yet: run klp-audit-fleet verify")
	default:
		f.Add("Verified", "%s on %s, %d events%s", v.Result, short(v.Verified), v.Size, in(say.Some(v.Problems)))
	}
	return f
}

// in is a text in a sentence, if there is one.
func in(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// text says what a branch is.
func (o *fork) text() string {
	what := "the first history"
	switch o.Cause {
	case pg.Forked:
		what = "another history"
	case pg.LostKey:
		what = "a key took over that the key before it did not sign"
	}
	text := fmt.Sprintf("%s, %d events, root hash %s, received %s", what, o.Events, o.Root, short(o.Received))
	if o.Base != nil {
		text += fmt.Sprintf("; it leaves branch %d after event %d", *o.Base, *o.Common)
	}
	if !o.Whole {
		text += ", some events after that were never sent"
	}
	if o.Accepted != nil {
		text += fmt.Sprintf("; accepted %s%s", short(*o.Accepted), in(o.Reason))
	}
	return text
}

// findingText says what a finding means.
func findingText(x pg.Finding) string {
	events := fmt.Sprintf("event %d", x.First)
	if x.Last > x.First {
		events = fmt.Sprintf("events %d to %d", x.First, x.Last)
	}
	switch x.Kind {
	case ingest.NeverSent:
		return fmt.Sprintf("%s: the host removed the bodies before it sent them", events)
	case string(record.CauseKeyReplaced):
		return fmt.Sprintf("%s: a key took over that the key before it did not sign: nothing vouches for what is before it", events)
	case string(record.CauseProofBroken):
		return fmt.Sprintf("%s: before it, the recorder found that the log was not the one it had signed", events)
	case string(record.CauseRecordLost):
		return fmt.Sprintf("%s: an earlier record was gone, but its key was still there", events)
	}
	return fmt.Sprintf("%s: %s", events, x.Kind)
}
