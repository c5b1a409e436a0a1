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
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record/proof"
	"github.com/klp-audit/klp-audit/report/table"
)

func (a *app) showCommand() *cobra.Command {
	var format, state string
	cmd := &cobra.Command{
		Use:   "show [HOST]",
		Short: "Show what is known of a host's log, or list the logs",
		Long: `Show what the collector knows of the log of HOST: its keys, its size, its branches, what an auditor
should know, and what the newest verification found. Without HOST, list all hosts.

INTEGRITY is one of these:

  altered     verify found that what is kept is not what the host signed
  truncated   verify found that the end is missing
  forked      another history came, and nobody has decided which one counts
  new-key     a key took over that the key before it did not sign; nobody has decided
  behind      the newest upload is an earlier state of the log: a snapshot was restored
  unverified  nothing is known against it; verify has not looked at it yet
  intact      nothing is known against it, and verify agrees`,
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

// summary is what the list says of a log. Its JSON is published: all keys are always there.
type summary struct {
	Log        string           `json:"log"`
	Name       string           `json:"name"`
	Hostname   string           `json:"hostname"`
	MachineID  string           `json:"machine_id"`
	Tenant     int              `json:"tenant"`
	State      pg.State         `json:"state"`
	StateSince time.Time        `json:"state_since"`
	Reason     string           `json:"reason"`
	Integrity  string           `json:"integrity"`
	Key        string           `json:"key"` // that signs now
	Events     int64            `json:"events"`
	FirstEvent *time.Time       `json:"first_event"`
	LastEvent  *time.Time       `json:"last_event"`
	Heard      *time.Time       `json:"heard"`  // null: never
	Behind     int64            `json:"behind"` // events that the newest upload lacks
	Branch     int              `json:"branch"` // that counts
	Verified   *pg.Verification `json:"verified"`
}

// host is what show says of a log.
type host struct {
	summary
	Keys     []pg.KeyFrom  `json:"keys"`
	Branches []branch      `json:"branches"`
	Findings []pg.Finding  `json:"findings"`
	Refused  []pg.Refusal  `json:"refused"`
	Others   []other       `json:"same_machine"` // other logs of the same machine id
	Withheld *pg.Statement `json:"withheld"`
}

// other is another log of the same machine.
type other struct {
	Log   string     `json:"log"`
	Name  string     `json:"name"`
	State pg.State   `json:"state"`
	Heard *time.Time `json:"heard"`
}

// branch is a history of a log.
type branch struct {
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

// summaryOf returns what a log's own rows say, and what its newest verification found.
func summaryOf(l *pg.Log, verified *pg.Verification) summary {
	b := l.Current()
	s := summary{
		Log: l.ID.String(), Name: l.Name, Hostname: b.Hostname, MachineID: b.MachineID, Tenant: l.Tenant, State: l.State, StateSince: l.StateSince, Reason: l.Reason,
		Integrity: integrity(l, verified), Key: b.Key, Events: b.Size, FirstEvent: b.FirstEvent, LastEvent: b.LastEvent, Heard: heard(b), Branch: l.Branch, Verified: verified,
	}
	if b.HeardSize > 0 {
		s.Behind = b.Size - b.HeardSize
	}
	return s
}

// heard is when a host last sent its log, nil if it never did.
func heard(b *pg.Branch) *time.Time {
	if b.Size == 0 {
		return nil
	}
	return &b.Heard
}

// The words for what is known of a log's history, the worst first, besides those of a verification.
const (
	forked     = "forked"     // another history waits for a decision
	newKey     = "new-key"    // a key that nothing vouches for waits for a decision
	behind     = "behind"     // the newest upload is an earlier state
	unverified = "unverified" // nothing is wrong, and verify has not looked
)

// integrity says in a word what is known of a log's history.
func integrity(l *pg.Log, verified *pg.Verification) string {
	b, open := l.Current(), undecided(l)
	switch {
	case verified != nil && verified.Result != string(proof.Intact):
		return verified.Result
	case slices.ContainsFunc(open, func(o *pg.Branch) bool { return later(o, b).Cause != pg.LostKey }):
		return forked
	case len(open) > 0:
		return newKey
	case b.HeardSize > 0 && b.HeardSize < b.Size:
		return behind
	case verified == nil:
		return unverified
	}
	return string(proof.Intact)
}

// later is the later of two branches: its cause says why there are two.
func later(a, b *pg.Branch) *pg.Branch {
	if a.Number > b.Number {
		return a
	}
	return b
}

// undecided are the branches that grew since somebody decided which one counts.
func undecided(l *pg.Log) (list []*pg.Branch) {
	decided := l.Current().Accepted
	for i := range l.Branches {
		b := &l.Branches[i]
		if b.Number != l.Branch && (decided == nil || b.Received.After(*decided)) {
			list = append(list, b)
		}
	}
	return list
}

// branchesOf returns the histories of a log.
func branchesOf(l *pg.Log) (list []branch, err error) {
	for i := range l.Branches {
		b := &l.Branches[i]
		tree, err := proof.NewTree(b.Size, b.Tree)
		if err != nil {
			return nil, fmt.Errorf("reading branch %d of log %s: %w", b.Number, l.Name, err)
		}
		root, err := tree.Root()
		if err != nil {
			return nil, err
		}
		list = append(list, branch{b.Number, b.Cause, b.Base, b.Common, l.Whole(b.Number), b.Size, root.String(), b.Opened, b.Received, b.Accepted, b.Reason})
	}
	return list, nil
}

func (a *app) list(ctx context.Context, db *pg.DB, state pg.State, format string) error {
	logs, err := db.All(ctx, state)
	if err != nil {
		return err
	}
	verified, err := db.Verifications(ctx)
	if err != nil {
		return err
	}
	hosts := make([]summary, len(logs))
	for i, l := range logs {
		hosts[i] = summaryOf(l, verified[l.ID])
	}
	slices.SortStableFunc(hosts, func(p, q summary) int {
		return cmp.Or(cmp.Compare(p.Hostname, q.Hostname), cmp.Compare(p.Name, q.Name))
	})
	if format == "json" {
		return writeJSON(a.Stdout, hosts)
	}
	var cells [][]string
	for _, h := range hosts {
		name, _ := strings.CutPrefix(h.Name, "klp-audit/")
		cells = append(cells, []string{say.OrUnknown(h.Hostname), say.Printable(name), string(h.State), fmt.Sprint(h.Events), minute(h.Heard), h.Integrity})
	}
	if len(cells) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "no hosts")
		return err
	}
	return table.Render(a.Stdout, []string{"HOST", "KEY", "STATE", "EVENTS", "HEARD (UTC)", "INTEGRITY"}, cells, a.style().Sized())
}

// minute is a time in a table.
func minute(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format("2006-01-02 15:04")
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
	return facts.Write(a.Stdout, a.style())
}

// read reads all that show says of a log.
func (a *app) read(ctx context.Context, db *pg.DB, l *pg.Log) (*host, error) {
	verified, err := db.Verified(ctx, l.ID)
	if err != nil {
		return nil, err
	}
	h := &host{summary: summaryOf(l, verified), Keys: l.Current().Keys, Others: []other{}}
	if h.Branches, err = branchesOf(l); err != nil {
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
	others, err := db.Others(ctx, l)
	for _, o := range others {
		h.Others = append(h.Others, other{o.ID.String(), o.Name, o.State, heard(o.Current())})
	}
	return h, err
}
