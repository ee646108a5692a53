// Package config reads the configuration file: TOML, one line an option, by the names of the command line (- or _):
//
//	allow-other = true
//	umask = "027"
//	max_download = "2M"
//	timeout = "30s"
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"megadisk/cmd/megadisk/internal/options"
)

// Value is what the file says for an option.
type Value struct {
	Text string // as it would stand on the command line
	Line int
}

// Error is a mistake in the file.
type Error struct {
	Path    string
	Line    int // 0: of the whole file
	Problem string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Path + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Problem)
}

// Read reads the file at path; known are the names that it may use. A file that isn't there is as an empty one, unless
// it must be. Errors are *Error.
func Read(path string, must bool, known []string) (map[string]Value, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	var inPath *fs.PathError
	if errors.As(err, &inPath) {
		return nil, &Error{Path: path, Problem: inPath.Err.Error()}
	}
	return parse(path, text, known)
}

func parse(path string, text []byte, known []string) (map[string]Value, error) {
	var raw map[string]any
	if err := toml.Unmarshal(text, &raw); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ := at.Position()
			return nil, &Error{path, line, strings.TrimPrefix(at.Error(), "toml: ")}
		}
		return nil, &Error{Path: path, Problem: err.Error()}
	}
	lines := linesOf(text)
	values := map[string]Value{}
	for key, v := range raw {
		name, line := strings.ReplaceAll(key, "_", "-"), lines[key]
		if !slices.Contains(known, name) {
			return nil, &Error{path, line, unknown(key, name, known)}
		}
		if _, twice := values[name]; twice {
			return nil, &Error{path, line, name + " stands there twice"}
		}
		word, ok := wordOf(v)
		if !ok {
			return nil, &Error{path, line, key + " has one value: a text in quotes, a number, true or false"}
		}
		values[name] = Value{Text: word, Line: line}
	}
	return values, nil
}

func unknown(key, name string, known []string) string {
	if best := options.Nearest(name, known); best != "" {
		return fmt.Sprintf("there is no option %q (did you mean %s?)", key, best)
	}
	return fmt.Sprintf("there is no option %q: `megadisk config show` lists them", key)
}

// wordOf is a value as it would stand on the command line.
func wordOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}

// linesOf tells in which line each key stands.
func linesOf(text []byte) map[string]int {
	lines := map[string]int{}
	p := unstable.Parser{}
	p.Reset(text)
	for p.NextExpression() {
		keys := p.Expression().Key()
		if keys.Next() {
			key := string(keys.Node().Data)
			if _, known := lines[key]; !known {
				lines[key] = p.Shape(keys.Node().Raw).Start.Line
			}
		}
	}
	return lines
}
