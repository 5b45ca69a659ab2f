package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/orderlog/orderlog/internal/asyncapitest"
	"github.com/orderlog/orderlog/internal/openapitest"
)

// documents are what the program says of itself. Every answer and every frame in these tests is held to them.
type documents struct {
	rest    *openapitest.Checker
	sockets *asyncapitest.Checker
}

// described are the documents of the program under test. Whichever server is there first is asked for them.
var described struct {
	once sync.Once
	documents
	err error
}

// describe asks a server for the documents, unless another one has been asked.
func describe(t *testing.T, url string) documents {
	t.Helper()
	described.once.Do(func() {
		described.rest, described.err = loaded(url+"/openapi.json", openapitest.Load)
		if described.err == nil {
			described.sockets, described.err = loaded(url+"/asyncapi.json", asyncapitest.Load)
		}
	})
	if described.err != nil {
		t.Fatal(described.err)
	}
	return described.documents
}

func loaded[T any](url string, load func([]byte) (T, error)) (document T, err error) {
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		return document, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return document, err
	}
	if document, err = load(text); err != nil {
		return document, fmt.Errorf("%s: %w", url, err)
	}
	return document, nil
}
