package rest

import (
	"mime"
	"strconv"
	"strings"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// ndjsonTypes are the names that lines of JSON go by.
var ndjsonTypes = []string{ndjsonType, "application/ndjson"}

// acceptedLines is the name under which a client takes lines of JSON rather than one document, by its Accept headers;
// empty: it takes the document, as clients do who say nothing of either.
func acceptedLines(accept []string) string {
	ranges := mediaRanges(accept)
	document := ranges.of(jsonType)
	best, name := document, ""
	for _, t := range ndjsonTypes {
		if p := ranges.of(t); p.quality > 0 && p.over(best) {
			best, name = p, t
		}
	}
	return name
}

// preference is how much a client wants a type. Of two that it wants as much, it means the one that it names more closely.
type preference struct {
	quality float64
	exact   int // 2: by its name; 1: as one of application/*; 0: as one of */*
}

func (p preference) over(q preference) bool {
	return p.quality > q.quality || p.quality == q.quality && p.exact > q.exact
}

// accepted are media ranges with their qualities, by RFC 9110.
type accepted map[string]float64

func mediaRanges(accept []string) accepted {
	all := accepted{}
	for _, header := range accept {
		for one := range strings.SplitSeq(header, ",") {
			name, parameters, err := mime.ParseMediaType(one)
			if err != nil {
				continue
			}
			quality := 1.0
			if q, ok := parameters["q"]; ok {
				if quality, err = strconv.ParseFloat(q, 64); err != nil || !(quality >= 0 && quality <= 1) {
					continue
				}
			}
			all[name] = max(all[name], quality)
		}
	}
	return all
}

// of is how much an application/… type is wanted: by the range that is closest to it.
func (a accepted) of(name string) preference {
	for exact, r := range []string{name, "application/*", "*/*"} {
		if quality, ok := a[r]; ok {
			return preference{quality: quality, exact: 2 - exact}
		}
	}
	return preference{}
}
