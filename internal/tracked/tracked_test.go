package tracked

import (
	"strings"
	"testing"
)

const list = "{\n\"TransactionStepList\": [{\n\"solvable\": {\n\"a\": \"x86_64\",\n\"n\": \"glibc\",\n\"r\": \"1\\/2\",\n\"v\": \"6.4.0\"\n},\n\"stage\": \"ok\",\n\"type\": \"M\"\n}]\n}"

// inPieces is what a list says about text that arrives in pieces of a fixed size.
func inPieces(text string, size int) bool {
	var l List
	for ; len(text) > 0; text = text[min(size, len(text)):] {
		l.Write([]byte(text[:min(size, len(text))]))
	}
	return l.Nothing()
}

func TestList(t *testing.T) {
	for name, tt := range map[string]struct {
		text    string
		nothing bool
	}{
		"nothing tracked":         {list, true},
		"empty list":              {"{\n\"TransactionStepList\": []\n}", true},
		"damaged in between":      {strings.Replace(list, `"n": "glibc"`, `"n": }[`, 1), true},
		"nothing at all":          {"", false},
		"only the end of a list":  {"]\n}", false},
		"no end":                  {strings.TrimSuffix(list, "}"), false},
		"something after the end": {list + " ", false},
		"written in another way":  {strings.ReplaceAll(list, "\n", ""), false},
		"a letter as its number":  {strings.Replace(list, "glibc", `\u006bernel-rt`, 1), false},
	} {
		for size := 1; size < len(tt.text)+2; size++ {
			if got := inPieces(tt.text, size); got != tt.nothing {
				t.Errorf("%s, in pieces of %d bytes: nothing tracked: %t", name, size, got)
			}
		}
	}
	for _, word := range Words() {
		for size := range len(list) {
			if inPieces(strings.Replace(list, "glibc", "lib-"+word+"-x", 1), size+1) {
				t.Errorf("%s is not seen in pieces of %d bytes", word, size+1)
			}
		}
	}
}

func TestLongestWord(t *testing.T) {
	for _, word := range append(Words(), escape) {
		if len(word) > longest {
			t.Errorf("%s is longer than %d bytes", word, longest)
		}
	}
}

// FuzzList checks that it does not matter how a list is cut.
func FuzzList(f *testing.F) {
	f.Add(list, 7)
	f.Add(strings.Replace(list, "glibc", "sle-module-live-patching-release", 1), 64)
	f.Fuzz(func(t *testing.T, text string, size int) {
		if size < 1 {
			t.Skip()
		}
		if whole, cut := inPieces(text, len(text)+1), inPieces(text, size); whole != cut {
			t.Errorf("%q: %t, in pieces of %d bytes %t", text, whole, size, cut)
		} else if whole && MayName([]byte(text)) {
			t.Errorf("%q: nothing, although it may name something", text)
		}
	})
}
