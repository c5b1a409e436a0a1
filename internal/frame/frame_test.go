package frame

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// message is a frame with its body.
type message struct {
	Command string
	Header  []string
	Body    string
}

func readAll(t testing.TB, input string) (all []message, err error) {
	t.Helper()
	fr := NewReader(strings.NewReader(input))
	for {
		f, err := fr.Next()
		if err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		body, err := io.ReadAll(f.Body)
		if err != nil {
			return all, err
		}
		all = append(all, message{f.Command, f.Header, string(body)})
	}
}

// written are messages as frames, each with its NUL.
func written(all []message) string {
	var b strings.Builder
	for _, m := range all {
		b.WriteString(strings.Join(append([]string{m.Command}, m.Header...), "\n") + "\n\n" + m.Body + "\x00")
	}
	return b.String()
}

func TestFramesOfLibzypp(t *testing.T) {
	files, _ := filepath.Glob("../../plugin/testdata/*.frames")
	if len(files) < 5 {
		t.Fatalf("only %d recordings", len(files))
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all, err := readAll(t, string(b))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := all[0].Command; got != PluginBegin {
			t.Errorf("%s: first frame %q", name, got)
		}
		if got := all[len(all)-1].Command; got != Disconnect {
			t.Errorf("%s: last frame %q", name, got)
		}
		if diff := cmp.Diff(string(b), written(all)); diff != "" {
			t.Errorf("%s: read then written (-want +got):\n%s", name, diff)
		}
	}
}

func TestFrames(t *testing.T) {
	for name, tt := range map[string]struct {
		input string
		want  []message
	}{
		"no header, no body":                  {"PLUGINEND\n\n\x00", []message{{Command: "PLUGINEND", Header: []string{}}}},
		"content-length":                      {"PLUGINEND\ncontent-length:0\n\n\x00", []message{{Command: "PLUGINEND", Header: []string{"content-length:0"}}}},
		"NUL within content-length":           {"A\ncontent-length:3\n\nx\x00y\x00B\n\n\x00", []message{{"A", []string{"content-length:3"}, "x\x00y"}, {"B", []string{}, ""}}},
		"content-length that is not a number": {"A\ncontent-length:many\n\nxy\x00", []message{{"A", []string{"content-length:many"}, "xy"}}},
		"negative content-length":             {"A\ncontent-length:-1\n\nxy\x00", []message{{"A", []string{"content-length:-1"}, "xy"}}},
		"body longer than content-length":     {"A\ncontent-length:1\n\nxyz\x00B\n\n\x00", []message{{"A", []string{"content-length:1"}, "xyz"}, {"B", []string{}, ""}}},
		"body shorter than content-length":    {"A\ncontent-length:9\n\nxyz", []message{{"A", []string{"content-length:9"}, "xyz"}}},
		"last frame ended by end of input":    {"A\n\nbody", []message{{"A", []string{}, "body"}}},
		"frame cut off in its headers":        {"A\nk:v", []message{{"A", []string{"k:v"}, ""}}},
		"frame cut off by its NUL":            {"A\x00B\n\n\x00", []message{{"A", []string{}, ""}, {"B", []string{}, ""}}},
		"header without colon":                {"A\nodd\n\n\x00", []message{{"A", []string{"odd"}, ""}}},
		"empty command":                       {"\n\n\x00", []message{{"", []string{}, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(t, tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Over time libzypp escaped header values in three ways; all give the same text.
func TestUserData(t *testing.T) {
	const want = `change:4711|x\y`
	for name, head := range map[string]string{
		"until 17.34.1, as it is":               "userdata:change:4711|x\\y\n",
		"17.34.2 to 17.35.11, colons escaped":   "content-length:0\nuserdata:change\\c4711|x\\\\y\n",
		"from 17.35.12, backslashes escaped":    "content-length:0\nuserdata:change:4711|x\\\\y\n",
		"an escape that nobody knows stays":     "content-length:0\nuserdata:change:4711|x\\y\n",
		"an old libzypp's backslashes are text": "userdata:change:4711|x\\y\n",
	} {
		f, err := NewReader(strings.NewReader("PLUGINBEGIN\n" + head + "\n\x00")).Next()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.Get("userdata"); got != want || !ok {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	f := Frame{Header: []string{`content-length:0`, `userdata:\\c\n\r\\`}}
	if got, _ := f.Get("userdata"); got != "\\c\n\r\\" {
		t.Errorf("all escapes: got %q", got)
	}
}

func TestHeadIsBounded(t *testing.T) {
	fr := NewReader(io.MultiReader(strings.NewReader("A\nk:"), neverEnding('x')))
	if _, err := fr.Next(); err != ErrHead {
		t.Errorf("got %v, want %v", err, ErrHead)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

// FuzzFrame checks that a frame, once read, is the same after writing and reading it, and that a
// frame as libzypp writes it keeps every byte.
func FuzzFrame(f *testing.F) {
	f.Add("PLUGINBEGIN", "userdata:x", "", true)
	f.Add("COMMITBEGIN", "content-length:2", "{}", false)
	f.Add("A", "k:v\nk2:v2", "body\nwith\n\nlines", true)
	f.Fuzz(func(t *testing.T, command, header, body string, length bool) {
		raw, err := readAll(t, command+"\n"+header+"\n\n"+body)
		if err != nil {
			t.Skip()
		}
		if strings.Contains(header, "content-length:") {
			return // a length that does not match the body
		}
		again, err := readAll(t, written(raw))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(written(raw), written(again)); diff != "" {
			t.Errorf("read, written, read, written (-first +second):\n%s", diff)
		}
		if command == "" || strings.ContainsAny(command, "\n\x00") || strings.ContainsAny(header, "\x00") ||
			strings.Contains("\n"+header+"\n", "\n\n") {
			return // not a frame of libzypp's
		}
		head := command + "\n"
		if length {
			head += fmt.Sprintf("content-length:%d\n", len(body))
		} else if strings.Contains(body, "\x00") {
			return
		}
		input := head + header + "\n\n" + body + "\x00"
		all, err := readAll(t, input)
		if err != nil {
			t.Fatal(err)
		}
		if got := written(all); got != input {
			t.Errorf("got %q, want %q", got, input)
		}
	})
}
