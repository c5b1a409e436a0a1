package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klp-audit/klp-audit/fleet/inventory"
	"github.com/klp-audit/klp-audit/fleet/pg"
	"github.com/klp-audit/klp-audit/internal/say"
	"github.com/klp-audit/klp-audit/report/table"
)

func (a *app) inventoryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inventory", Short: "Compare the machines that there should be with those that send", Args: cobra.NoArgs,
		Long: `Compare an inventory, which says which machines there should be, with the hosts that send their
records: a machine that sends nothing shows no fault.`,
		Example: `  klp-audit-fleet inventory diff systems.csv`,
	}
	cmd.AddCommand(a.inventoryDiffCommand())
	return cmd
}

func (a *app) inventoryDiffCommand() *cobra.Command {
	var format string
	var silent time.Duration
	cmd := &cobra.Command{
		Use:   "diff FILE",
		Short: "Name the machines of an inventory that do not send, and the hosts that it does not have",
		Long: `Compare the machines in FILE (-: standard input), a CSV file whose first line names its columns,
with the hosts that the collector knows: hostname or machine_id must be among the columns, others are
skipped. So an export of the view System of SUSE Manager's reporting database will do. Machines are
told by their machine id; where one of both is not known, by their name, of which one may lack its
domain.

STATUS is one of these:

  silent            approved, and not heard of for longer than --silent
  pending           sends, and waits for approval
  retired           is in the inventory, and was retired here
  other-machine     a host of this name sends, with another machine id
  not-enrolled      nobody sends for it
  twice             two approved hosts say that they are it: a clone, or it was installed again
  never-sent        a key was enrolled, and nothing came: whose it is is not known
  not-in-inventory  a host that the inventory does not have`,
		Example: `  klp-audit-fleet inventory diff systems.csv
  psql -d reportdb --csv -c 'select hostname, machine_id from system' | klp-audit-fleet inventory diff -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case format != "table" && format != "json":
				return usageError{fmt.Errorf("--format %q: want table or json", format)}
			case silent <= 0:
				return usageError{errors.New("--silent must be more than 0")}
			}
			machines, err := a.readInventory(args[0])
			if err != nil {
				return err
			}
			db, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer db.Close()
			hosts, err := hostsOf(cmd.Context(), db)
			if err != nil {
				return err
			}
			p := inventory.Compare(machines, hosts, a.Now().Add(-silent))
			if format == "json" {
				return writeJSON(a.Stdout, p)
			}
			return a.writePopulation(p)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "print as `FORMAT`: table, json")
	cmd.Flags().DurationVar(&silent, "silent", 48*time.Hour, "a host is silent that was not heard of for `TIME`, such as 36h")
	return cmd
}

// maxInventory is how large an inventory may be, in bytes.
const maxInventory = 64 << 20

func (a *app) readInventory(path string) ([]inventory.Machine, error) {
	in := a.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	limited := &io.LimitedReader{R: in, N: maxInventory}
	machines, err := inventory.Read(limited)
	if limited.N == 0 {
		err = fmt.Errorf("it is larger than %d MiB", maxInventory>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the inventory %q: %w", path, err)
	}
	return machines, nil
}

// hostsOf are the hosts that the collector knows.
func hostsOf(ctx context.Context, db *pg.DB) (hosts []inventory.Host, err error) {
	logs, err := db.All(ctx, "")
	for _, l := range logs {
		b := l.Current()
		hosts = append(hosts, inventory.Host{Log: l.ID.String(), Name: l.Name, Hostname: b.Hostname, MachineID: b.MachineID, State: string(l.State), Heard: heard(b)})
	}
	return hosts, err
}

// writePopulation says how many machines there are, and then names those that ask for something.
func (a *app) writePopulation(p *inventory.Population) error {
	var counts []string
	for _, s := range inventory.Statuses() {
		if n := p.Counts[s]; n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if _, err := fmt.Fprintf(a.Stdout, "%s in the inventory: %s\n", say.Plural(p.Machines, "machine"), strings.Join(counts, ", ")); err != nil || len(p.Rows) == 0 {
		return err
	}
	var cells [][]string
	for _, r := range p.Rows {
		line := ""
		if r.Line > 0 {
			line = fmt.Sprint(r.Line)
		}
		key, seen := "", ""
		if r.Host.Name != "" {
			key, seen = strings.TrimPrefix(r.Host.Name, "klp-audit/"), minute(r.Host.Heard)
		}
		cells = append(cells, []string{string(r.Status), line, say.OrUnknown(r.Hostname), say.OrUnknown(cmp.Or(r.MachineID, r.Host.MachineID)), say.Printable(key), seen})
	}
	fmt.Fprintln(a.Stdout)
	return table.Render(a.Stdout, []string{"STATUS", "LINE", "HOST", "MACHINE ID", "KEY", "HEARD (UTC)"}, cells, a.style().Sized())
}
