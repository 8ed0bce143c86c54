// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"sync"
	"time"
)

// watcher is called before all handlers. It counts SOAP methods and logs every request.
type watcher struct {
	next http.Handler

	mu       sync.Mutex // protects all below
	journal  *os.File
	soap     map[string]int
	requests int64 // answered with bytes of a disk
	bytes    int64
}

func newWatcher(next http.Handler, journal *os.File) *watcher {
	return &watcher{next: next, journal: journal, soap: map[string]int{}}
}

var firstInBody = regexp.MustCompile(`Body[^>]*>\s*<(?:\w+:)?(\w+)`)

func (c *watcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := ""
	if r.Method == http.MethodPost && r.URL.Path == "/sdk" {
		body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if found := firstInBody.FindSubmatch(body); found != nil {
			method = string(found[1])
		}
	}
	answer := &status{ResponseWriter: w, code: http.StatusOK}
	c.next.ServeHTTP(answer, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if method != "" {
		c.soap[method]++
	}
	fmt.Fprintf(c.journal, "%s %s %s %s %s -> %d\n", time.Now().Format("15:04:05.000"), r.Method,
		r.URL.RequestURI(), method, r.Header.Get("Range"), answer.code)
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// counted returns a writer that counts what is written to w as bytes of a disk.
func (c *watcher) counted(w http.ResponseWriter) http.ResponseWriter {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	return &counter{w, c}
}

type counter struct {
	http.ResponseWriter
	c *watcher
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.c.mu.Lock()
	defer c.c.mu.Unlock()
	c.c.bytes += int64(n)
	return n, err
}
