package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klp-audit/klp-audit/record"
)

// lineBuffer gathers what is written line by line.
const lineBuffer = 64 << 10

// writeJSON writes a history as one object. The rows are streamed; the provenance comes after them,
// because it counts them.
func writeJSON(w io.Writer, h *History) error {
	head, err := compact(struct {
		Schema  string  `json:"schema"`
		Warning *string `json:"warning"`
	}{HistorySchema, record.OrNil(h.Provenance.Warning())})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s,\"rows\":[", bytes.TrimSuffix(head, []byte("}"))); err != nil {
		return err
	}
	if err := writeRows(w, h); err != nil {
		return err
	}
	b, err := compact(h.Provenance)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n],\"provenance\":%s}\n", b)
	return err
}

// writeRows writes the rows of a history as the elements of an array.
func writeRows(w io.Writer, h *History) error {
	separator := "\n"
	return encodeRows(w, h, func(out *bufio.Writer, row []byte) error {
		out.WriteString(separator)
		separator = ",\n"
		_, err := out.Write(row)
		return err
	})
}

// writeJSONL writes a history as one object a line, and nothing else but the warning.
func writeJSONL(w io.Writer, h *History) error {
	if warning := h.Provenance.Warning(); warning != "" {
		err := WriteObject(w, struct {
			Warning string `json:"warning"`
		}{warning})
		if err != nil {
			return err
		}
	}
	return encodeRows(w, h, func(out *bufio.Writer, row []byte) error {
		out.Write(row)
		return out.WriteByte('\n')
	})
}

// encodeRows encodes the rows of a history one by one.
func encodeRows(w io.Writer, h *History, write func(out *bufio.Writer, row []byte) error) error {
	out, e := bufio.NewWriterSize(w, lineBuffer), newEncoder()
	for row, err := range h.counted() {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		b, err := e.compact(row)
		if err != nil {
			return err
		}
		if err := write(out, b); err != nil {
			return err
		}
	}
	return out.Flush()
}

// writeCSV writes a history with a header row of the names that JSON has, too, as RFC 4180 has it but
// for the line ends, and nothing else but the warning.
func writeCSV(w io.Writer, h *History) error {
	out, columns := bufio.NewWriterSize(w, lineBuffer), record.HistoryFields()
	if warning := h.Provenance.Warning(); warning != "" {
		out.Write(appendCell(nil, warning))
		out.WriteString(strings.Repeat(",", len(columns)-1) + "\n")
	}
	for i, c := range columns {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(c.Name)
	}
	out.WriteByte('\n')
	var line []byte
	for row, err := range h.counted() {
		if err != nil {
			return errors.Join(err, out.Flush())
		}
		line = line[:0]
		for _, c := range columns {
			line = append(appendCell(line, c.Text(row)), ',')
		}
		line[len(line)-1] = '\n'
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}
