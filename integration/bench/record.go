package main

import (
	"encoding/json"
	"errors"
	"log"
	"os"
	"strings"

	"megadisk/integration/figures"
)

// recorder writes each figure to a file, one JSON object a line, for whoever compares.
type recorder struct {
	path string // "": nobody does
	top  string // the last figure that wasn't indented
}

var record recorder

func (r *recorder) add(name string, value float64, atMost bool) {
	full := strings.TrimSpace(name)
	if full == name {
		r.top = name
	} else {
		full = r.top + " > " + full
	}
	if r.path == "" {
		return
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err == nil {
		err = errors.Join(json.NewEncoder(f).Encode(figures.Measured{Name: full, Value: value, AtMost: atMost}), f.Close())
	}
	if err != nil {
		log.Fatal("bench: ", err)
	}
}
