package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"

	"github.com/orderlog/orderlog/domain"
)

// pages serves what people and programs read about this one: the API's page and the AsyncAPI document, and the metrics.
func (s *server) pages() {
	s.docs()
	if document := s.cfg.AsyncAPI; len(document) > 0 {
		s.mux.HandleFunc("GET /asyncapi.json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.aai.asyncapi+json;version=3.0.0")
			_, _ = w.Write(document)
		})
	}
	if s.cfg.Metrics != nil {
		s.mux.Handle("GET /metrics", s.cfg.Metrics)
	}
}

// docs serves Swagger UI out of the program itself. The page is made once; its policy lets the browser run only the
// scripts that are in it now, and load and ask nothing but this server.
func (s *server) docs() {
	links := `<p style="margin: 1em auto; max-width: 1420px; font-family: sans-serif">As documents: <a href="/openapi.json">OpenAPI</a>`
	if len(s.cfg.AsyncAPI) > 0 {
		links += ` · <a href="/asyncapi.json">AsyncAPI, of the sockets</a>`
	}
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Orderlog", SwaggerJSON: "/openapi.json", BasePath: "/docs",
		PrependHTML: template.HTML(links + "</p>"), //nolint:gosec // written above, out of constants
		SettingsUI:  map[string]string{"deepLinking": "true", "displayRequestDuration": "true"},
	})
	var made page
	ui.ServeHTTP(&made, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}})
	policy := policyOf(made.Bytes())
	s.mux.HandleFunc("GET /docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(made.Bytes())
	})
	s.mux.HandleFunc("GET /docs/{file}", func(w http.ResponseWriter, r *http.Request) {
		if !inPage(r.PathValue("file")) {
			s.refuse(w, r, problem(domain.CodeNotFound, "there is nothing at this path: see /docs"))
			return
		}
		ui.ServeHTTP(w, r)
	})
}

// inPage says whether the page has a file with that name; to others it would answer in plain text.
func inPage(name string) bool {
	for _, stored := range []string{name, name + ".gz"} {
		if found, err := fs.Stat(static.FS, stored); err == nil && !found.IsDir() {
			return true
		}
	}
	return false
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// policyOf is the Content-Security-Policy of the page. Its own scripts are named by their hashes. Swagger UI puts
// style attributes on what it draws and has small pictures in its style sheet.
func policyOf(html []byte) string {
	scripts := []string{"'self'"}
	for _, script := range inlineScript.FindAllSubmatch(html, -1) {
		hash := sha256.Sum256(script[1])
		scripts = append(scripts, fmt.Sprintf("'sha256-%s'", base64.StdEncoding.EncodeToString(hash[:])))
	}
	return "default-src 'none'; script-src " + strings.Join(scripts, " ") + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// page is a writer that keeps what is written.
type page struct {
	bytes.Buffer
	header http.Header
}

func (p *page) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *page) WriteHeader(int) {}
