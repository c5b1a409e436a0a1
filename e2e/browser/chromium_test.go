// Package browser looks at the page of the whole report with a real browser: that it needs
// nothing but itself, can be read by everybody, and is whole on paper.
package browser

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"
)

// deadline is when a browser that does not answer hangs, and is not only slow.
const deadline = 8 * time.Minute

// chromium is a headless browser, spoken to in the Chrome DevTools Protocol through a pipe:
// messages of JSON with a NUL behind each.
type chromium struct {
	t      *testing.T
	in     io.Writer
	out    chan message
	next   int
	events []message
}

// message is what the browser says: the answer to a call, or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// start starts a browser that resolves no host name.
func start(t *testing.T) *chromium {
	t.Helper()
	if os.Getenv("KLP_AUDIT_E2E") != "1" {
		t.Skip("run `make e2e`")
	}
	program, err := exec.LookPath("chromium")
	check(t, err)
	toBrowser, in := pipe(t)
	out, fromBrowser := pipe(t)
	cmd := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // file descriptors 3 and 4
	check(t, cmd.Start())
	toBrowser.Close()
	fromBrowser.Close()
	c := &chromium{t: t, in: in, out: make(chan message, 1000)}
	go c.listen(out)
	t.Cleanup(func() {
		c.call("", "Browser.close", nil, nil)
		in.Close()
		cmd.Wait()
	})
	return c
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	return r, w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listen reads messages until the browser ends.
func (c *chromium) listen(out io.ReadCloser) {
	defer close(c.out)
	defer out.Close()
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
			return
		}
		c.out <- m
	}
}

// call calls a method, and keeps the events that come before its answer.
func (c *chromium) call(session, method string, params, result any) {
	c.t.Helper()
	c.next++
	id := c.next
	b, err := json.Marshal(map[string]any{"id": id, "sessionId": session, "method": method, "params": orEmpty(params)})
	if session == "" {
		b, err = json.Marshal(map[string]any{"id": id, "method": method, "params": orEmpty(params)})
	}
	check(c.t, err)
	_, err = c.in.Write(append(b, 0))
	check(c.t, err)
	m := c.wait(method, func(m message) bool { return m.ID == id })
	if m.Error != nil {
		c.t.Fatalf("%s: %s", method, m.Error.Message)
	}
	if result != nil {
		check(c.t, json.Unmarshal(m.Result, result))
	}
}

func orEmpty(params any) any {
	if params == nil {
		return map[string]any{}
	}
	return params
}

// wait waits for a message, and keeps the events before it.
func (c *chromium) wait(what string, is func(message) bool) message {
	c.t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case m, ok := <-c.out:
			if !ok {
				c.t.Fatalf("%s: the browser ended", what)
			}
			if is(m) {
				return m
			}
			c.events = append(c.events, m)
		case <-timeout:
			c.t.Fatalf("%s: no answer in %s", what, deadline)
		}
	}
}

// tab is a page that is open.
type tab struct {
	*chromium
	session string
}

// view is how a page is looked at.
type view struct {
	name          string
	width, height int
	dark, paper   bool
}

// The screens. On A4 with the page's margins 182 mm are left, 688 pixels.
var (
	desktop = view{name: "desktop", width: 1280, height: 900}
	phone   = view{name: "phone", width: 390, height: 844}
	paper   = view{name: "paper", width: 688, height: 1000, paper: true}
)

func (v view) inTheDark() view {
	v.name, v.dark = v.name+"-dark", true
	return v
}

// open opens a file in a new tab.
func (c *chromium) open(path string, v view) *tab {
	c.t.Helper()
	var target struct{ TargetID string }
	c.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &tab{c, attached.SessionID}
	for _, domain := range []string{"Page", "Network", "Log", "Runtime"} {
		p.do(domain+".enable", nil, nil)
	}
	media, scheme := "", "light"
	if v.paper {
		media = "print"
	}
	if v.dark {
		scheme = "dark"
	}
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": v.width, "height": v.height, "deviceScaleFactor": 1, "mobile": false}, nil)
	p.do("Emulation.setEmulatedMedia", map[string]any{"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	c.events = nil
	p.do("Page.navigate", map[string]any{"url": "file://" + path}, nil)
	if !p.loaded() {
		c.wait("loading "+path, func(m message) bool { return m.SessionID == p.session && m.Method == "Page.loadEventFired" })
	}
	return p
}

func (p *tab) do(method string, params, result any) {
	p.t.Helper()
	p.call(p.session, method, params, result)
}

func (p *tab) loaded() bool {
	for _, m := range p.events {
		if m.SessionID == p.session && m.Method == "Page.loadEventFired" {
			return true
		}
	}
	return false
}

// eval runs an expression in the page, waits for it, and decodes its value.
func (p *tab) eval(expression string, result any) {
	p.t.Helper()
	var got struct {
		Result struct{ Value json.RawMessage }
		Failed *struct {
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	p.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &got)
	if got.Failed != nil {
		p.t.Fatalf("in the page: %s", got.Failed.Exception.Description)
	}
	if result != nil {
		check(p.t, json.Unmarshal(got.Result.Value, result))
	}
}

// trouble lists what the page asked the network for, and what the browser complained of.
func (p *tab) trouble(path string) (list []string) {
	p.eval("new Promise(done => setTimeout(done, 200))", nil)
	for _, m := range p.events {
		var e struct {
			Request struct{ URL string }
			Entry   struct{ Level, Text string }
			Type    string
		}
		if m.SessionID != p.session || json.Unmarshal(m.Params, &e) != nil {
			continue
		}
		switch m.Method {
		case "Network.requestWillBeSent":
			if e.Request.URL != "file://"+path {
				list = append(list, "request for "+e.Request.URL)
			}
		case "Log.entryAdded":
			list = append(list, e.Entry.Level+": "+e.Entry.Text)
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown":
			list = append(list, m.Method)
		}
	}
	return list
}

// pdf prints the page on A4.
func (p *tab) pdf(path string) {
	p.t.Helper()
	var got struct{ Data string }
	p.do("Page.printToPDF", map[string]any{"preferCSSPageSize": true}, &got)
	p.save(path, got.Data)
}

// tallest is how much of a page a picture shows; longer ones take several.
const tallest = 8000

// screenshots saves pictures of the whole page: NAME.png, and NAME-2.png and so on if it is long.
func (p *tab) screenshots(name string) {
	p.t.Helper()
	var size struct{ Width, Height int }
	p.eval(`(e => ({width: e.clientWidth, height: e.scrollHeight}))(document.documentElement)`, &size)
	for i, y := 1, 0; y < size.Height; i, y = i+1, y+tallest {
		var got struct{ Data string }
		p.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "clip": map[string]int{"x": 0, "y": y, "width": size.Width, "height": min(tallest, size.Height-y), "scale": 1}}, &got)
		path := name
		if i > 1 {
			path += fmt.Sprint("-", i)
		}
		p.save(path+".png", got.Data)
	}
}

func (p *tab) save(path, data string) {
	p.t.Helper()
	b, err := base64.StdEncoding.DecodeString(data)
	check(p.t, err)
	check(p.t, os.WriteFile(path, b, 0o644))
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
