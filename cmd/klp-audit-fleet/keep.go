package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/fleet/keep"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/record/proof"
)

func (a *app) exportCommand() *cobra.Command {
	branch := -1
	cmd := &cobra.Command{
		Use:   "export HOST",
		Short: "Print what a host has sent, byte for byte",
		Long: `Print the export of HOST on standard output, byte for byte as it was received: what came in
pieces is put together. klp-audit verify --input and every report read it.

If bodies were withheld since (see prune), a note on standard error says so.`,
		Example: `  klp-audit-fleet export web1 > web1.jsonl
  klp-audit verify --input web1.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			l, err := one(cmd.Context(), db, args[0])
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("branch") {
				branch = l.Branch
			}
			if l.At(branch) == nil {
				return noBranch(l, branch)
			}
			if s, err := db.Withheld(cmd.Context(), l.ID, branch); err != nil {
				return err
			} else if s != nil {
				a.complain("note: the bodies of %s are withheld since %s: `klp-audit-fleet show --format json` has the signed statement", say.Plural(int(s.Bodies), "event"), short(s.Stated))
			}
			return keep.Export(cmd.Context(), db, l, branch, a.Stdout)
		},
	}
	cmd.Flags().IntVar(&branch, "branch", 0, "print branch `NUMBER` (default: the one that counts)")
	return cmd
}

// logs returns the logs that arguments name, or all.
func (a *app) logs(ctx context.Context, db *pg.DB, args []string) (list []*pg.Log, err error) {
	if len(args) == 0 {
		return db.All(ctx, "")
	}
	for _, arg := range args {
		l, err := one(ctx, db, arg)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

func (a *app) verifyCommand() *cobra.Command {
	var resume, quiet bool
	var workers int
	cmd := &cobra.Command{
		Use:   "verify [HOST...]",
		Short: "Verify again all that was received",
		Long: `Verify from the kept bytes alone what all hosts, or some, have sent: the hash of each event, the
tree over them, the signed checkpoints, the keys, and what the database says of them. What it
found is kept for show.

The exit status is 0 if all is intact, 4 if a log was altered, else 5 if the end of one is
missing, else 1 if one could not be read.`,
		Example: `  klp-audit-fleet verify
  klp-audit-fleet verify --resume`,
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			return a.verify(cmd.Context(), db, args, resume, quiet, workers)
		},
	}
	cmd.Flags().BoolVar(&resume, "resume", false, "go on with the newest run: leave out what it has verified")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "name only the logs that are not intact")
	cmd.Flags().IntVar(&workers, "workers", 0, "verify `NUMBER` logs at a time (default: one for each processor)")
	return cmd
}

func (a *app) verify(ctx context.Context, db *pg.DB, hosts []string, resume, quiet bool, workers int) error {
	logs, err := a.logs(ctx, db, hosts)
	if err != nil {
		return err
	}
	key, err := a.key(false)
	if err != nil {
		return err
	}
	r := &keep.Run{DB: db, Began: a.Now().UTC().Truncate(time.Microsecond), Resumed: resume, Workers: cmp.Or(workers, runtime.GOMAXPROCS(0)), Now: a.Now}
	if key != nil {
		r.Key = key.Verifier
	}
	if resume {
		last, err := db.LastRun(ctx)
		if err != nil {
			return err
		}
		if !last.IsZero() {
			r.Began = last
		}
	}
	a.ifStopped = "`klp-audit-fleet verify --resume` goes on"
	counts := map[string]int{}
	r.Found = func(res keep.Result) error {
		result := notRead
		if res.Err == nil {
			result = res.Result
		}
		counts[result]++
		if quiet && result == string(proof.Intact) {
			return nil
		}
		return a.tellResult(&res, result)
	}
	if err := r.Verify(ctx, logs); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(a.Stdout, "%s: %d intact, %d altered, %d truncated, %d not read\n", say.Plural(len(logs), "log"),
		counts[string(proof.Intact)], counts[string(proof.Altered)], counts[string(proof.Truncated)], counts[notRead]); err != nil {
		return err
	}
	switch {
	case counts[string(proof.Altered)] > 0:
		return exitStatus(exitAltered)
	case counts[string(proof.Truncated)] > 0:
		return exitStatus(exitTruncated)
	case counts[notRead] > 0:
		return exitStatus(exitError)
	}
	return nil
}

// notRead is what became of a log or a file that could not be read.
const notRead = "not-read"

func (a *app) tellResult(res *keep.Result, result string) error {
	text := called(res.Log) + ": " + result
	switch {
	case res.Err != nil:
		text += ": " + oneLine(res.Err.Error())
	case res.Size == 0:
		text += ", has sent nothing yet"
	default:
		text += ", " + say.Plural(int(res.Size), "event")
	}
	if res.Err == nil && res.Withheld > 0 {
		text += fmt.Sprintf(", %s withheld", bodies(res.Withheld))
	}
	_, err := fmt.Fprintln(a.Stdout, say.Printable(text))
	if res.Verification != nil && res.Err == nil {
		for _, p := range res.Problems {
			fmt.Fprintf(a.Stdout, "    %s\n", say.Clip(p, 300))
		}
	}
	return err
}

// bodies is a number of them.
func bodies(n int64) string {
	if n == 1 {
		return "1 body"
	}
	return fmt.Sprintf("%d bodies", n)
}

func (a *app) pruneCommand() *cobra.Command {
	var keepFor string
	var withhold bool
	var workers int
	cmd := &cobra.Command{
		Use:   "prune [HOST...]",
		Short: "Pack what is kept, and remove what need not be kept",
		Long: `Pack the uploads that are older than a week, so that they take less room; nothing is lost by that.
Of the checkpoints that came with those of past months, the newest of each month stays. Without
flags, that is all; run it weekly.

With --keep, also remove the bodies of events that are older than that, if the host has removed
them, too. With --withhold as well, remove those that the host still has, except what a
verification needs. The collector signs which, with a key of its own, and verify counts them.`,
		Example: `  klp-audit-fleet prune
  klp-audit-fleet prune --keep 10y`,
		RunE: func(cmd *cobra.Command, args []string) error {
			p := &keep.Prune{Now: a.Now(), Workers: cmp.Or(workers, runtime.GOMAXPROCS(0)), Withhold: withhold}
			if withhold && keepFor == "" {
				return usageError{errors.New("--withhold needs --keep")}
			}
			if keepFor != "" {
				before, err := ago(a.Now(), keepFor)
				if err != nil {
					return usageError{err}
				}
				p.Before = before
			}
			return a.prune(cmd.Context(), p, args)
		},
	}
	cmd.Flags().StringVar(&keepFor, "keep", "", "remove bodies older than `AGE`, such as 400d, 24m or 10y, if their host removed them")
	cmd.Flags().BoolVar(&withhold, "withhold", false, "with --keep, also remove bodies that their host still has")
	cmd.Flags().IntVar(&workers, "workers", 0, "prune `NUMBER` logs at a time (default: one for each processor)")
	return cmd
}

func (a *app) prune(ctx context.Context, p *keep.Prune, hosts []string) (err error) {
	db, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	logs, err := a.logs(ctx, db, hosts)
	if err != nil {
		return err
	}
	if p.Withhold {
		if p.Key, err = a.key(true); err != nil {
			return err
		}
	}
	a.ifStopped = "what was done is whole, and the next prune goes on"
	p.DB = db
	var sum keep.Pruned
	var failed error
	p.Found = func(d keep.Pruned) error {
		sum.Segments, sum.Removed, sum.Withheld = sum.Segments+d.Segments, sum.Removed+d.Removed, sum.Withheld+d.Withheld
		if d.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("host %s: %w", called(d.Log), d.Err))
		}
		return nil
	}
	if err := p.Run(ctx, logs); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.Stdout, "%s: %s packed, %s removed, %s withheld\n", say.Plural(len(logs), "log"), say.Plural(sum.Segments, "piece"), bodies(sum.Removed), bodies(sum.Withheld))
	return errors.Join(failed, err)
}

// ago returns the moment that an age such as 400d, 24m or 10y leads back to.
func ago(now time.Time, age string) (time.Time, error) {
	var n int
	var unit rune
	if _, err := fmt.Sscanf(age, "%d%c", &n, &unit); err != nil || n <= 0 || fmt.Sprintf("%d%c", n, unit) != age {
		return time.Time{}, fmt.Errorf("--keep %q: want an age such as 400d, 24m or 10y", age)
	}
	switch unit {
	case 'd':
		return now.AddDate(0, 0, -n), nil
	case 'm':
		return now.AddDate(0, -n, 0), nil
	case 'y':
		return now.AddDate(-n, 0, 0), nil
	}
	return time.Time{}, fmt.Errorf("--keep %q: want an age such as 400d, 24m or 10y", age)
}

// key returns the collector's key, and makes it if it is needed; nil if there is none.
func (a *app) key(create bool) (*proof.Key, error) {
	text, err := os.ReadFile(a.keyFile)
	if errors.Is(err, fs.ErrNotExist) && !create {
		return nil, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		text, err = makeKey(a.keyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the collector's key: %w", err)
	}
	k, err := proof.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("reading the collector's key in %q: %w", a.keyFile, err)
	}
	return k, nil
}

// makeKey makes a key in a file that does not exist.
func makeKey(path string) ([]byte, error) {
	text, err := proof.MakeKey()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString(text + "\n")
	return []byte(text), errors.Join(err, f.Sync(), f.Close())
}
