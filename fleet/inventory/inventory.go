// Package inventory compares the machines that should send their records with those that do.
package inventory

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Machine is one of the machines that there should be.
type Machine struct {
	Line      int    // of the file
	Hostname  string // empty: not known
	MachineID string // 32 hexadecimal digits, as in /etc/machine-id; empty: not known
}

// The columns that are read; others are skipped. SUSE Manager's reporting database has both, in its view System.
const (
	columnHostname  = "hostname"
	columnMachineID = "machine_id"
)

// maxCell is how long a name or an id may be, in bytes.
const maxCell = 255

// Read reads an inventory: CSV (RFC 4180), with names of columns in its first line, of which one at least is hostname
// or machine_id, in any case. A line may be separated by commas, semicolons or tabs, whichever the first line has.
// An error names the line.
func Read(r io.Reader) ([]Machine, error) {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) { // spreadsheets write it
		in.Discard(3)
	}
	c := csv.NewReader(in)
	c.Comma = separator(in)
	c.ReuseRecord, c.TrimLeadingSpace = true, c.Comma != '\t' // it would take an empty column for space
	header, err := c.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("it is empty: want a line with the names of columns")
	}
	if err != nil {
		return nil, plain(err)
	}
	name, id := column(header, columnHostname), column(header, columnMachineID)
	if name < 0 && id < 0 {
		return nil, fmt.Errorf("line 1: no column is named %s or %s", columnHostname, columnMachineID)
	}
	var list []Machine
	for {
		cells, err := c.Read()
		switch {
		case errors.Is(err, io.EOF) && len(list) == 0:
			return nil, errors.New("it names no machine")
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, plain(err)
		}
		m := Machine{Hostname: cell(cells, name), MachineID: bareID(cell(cells, id))}
		m.Line, _ = c.FieldPos(0)
		switch {
		case m.Hostname == "" && m.MachineID == "":
			return nil, fmt.Errorf("line %d: it has neither a %s nor a %s", m.Line, columnHostname, columnMachineID)
		case len(m.Hostname) > maxCell || len(m.MachineID) > maxCell:
			return nil, fmt.Errorf("line %d: a name of more than %d bytes", m.Line, maxCell)
		}
		list = append(list, m)
	}
}

// separator is what separates the columns of the first line.
func separator(in *bufio.Reader) rune {
	start, _ := in.Peek(in.Size())
	first, _, _ := bytes.Cut(start, []byte("\n"))
	return slices.MaxFunc([]rune{'\t', ';', ','}, func(a, b rune) int {
		return cmp.Compare(bytes.Count(first, []byte(string(a))), bytes.Count(first, []byte(string(b))))
	})
}

// plain is an error of package csv in plain words.
func plain(err error) error {
	var wrong *csv.ParseError
	switch {
	case !errors.As(err, &wrong):
		return err
	case errors.Is(err, csv.ErrFieldCount):
		return fmt.Errorf("line %d: it has more or fewer columns than the first line", wrong.Line)
	}
	return fmt.Errorf("line %d, column %d: %w", wrong.Line, wrong.Column, wrong.Err)
}

func column(header []string, name string) int {
	return slices.IndexFunc(header, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), name) })
}

func cell(cells []string, i int) string {
	if i < 0 {
		return ""
	}
	return strings.TrimSpace(cells[i])
}

// bareID is a machine id as records have it: some programs write it as a UUID.
func bareID(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }
