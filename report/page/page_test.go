package page

import (
	"strings"
	"testing"
)

// A name, a number or a date stays on one line, and a text from outside obeys nobody and turns nothing around it.
func TestOutside(t *testing.T) {
	long := strings.Repeat("a-1", 30)
	for text, want := range map[string]string{
		"":              `<bdi class="short"></bdi>`,
		"CVE-2025-1021": `<bdi class="short">CVE-2025-1021</bdi>`,
		"kernel-livepatch-6_4_0-150600_23_87-default": `<bdi class="word">kernel-livepatch-6_4_0-150600_23_87-default</bdi>`,
		"since 2025-01-02, by محمد":                   `<bdi>since <span class="short">2025-01-02,</span> by محمد</bdi>`,
		"well-known words":                            `<bdi>well-known words</bdi>`,
		"変更要求-4712":                                   `<bdi>変更要求-4712</bdi>`,
		long:                                          `<bdi>` + long + `</bdi>`,
		`<b>1-2 "x"&`:                                 `<bdi><span class="short">&lt;b&gt;1-2</span> &#34;x&#34;&amp;</bdi>`,
	} {
		if got := string(outside(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
