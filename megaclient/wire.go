package megaclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// maxDepth bounds the nesting of what servers send; real answers have less than ten levels.
const maxDepth = 64

// maxRefusal bounds an object that says no more than why something was refused.
const maxRefusal = 4 << 10

// marshalCommands makes the body of a request and gives the name of its first command.
func marshalCommands(cmds ...any) (body []byte, name string, err error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(cmds); err != nil {
		return nil, "", fmt.Errorf("encoding a command: %w", err)
	}
	body = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	var heads []struct {
		A string `json:"a"`
	}
	if err := json.Unmarshal(body, &heads); err == nil && len(heads) > 0 {
		name = heads[0].A
	}
	return body, name, nil
}

// parseRefusal recognises a refusal: a number below zero, or {"err":-N,...} (PROTOCOL 1.4).
func parseRefusal(b []byte) (*Error, bool) {
	if len(b) == 0 {
		return nil, false
	}
	if b[0] == '-' {
		n, err := strconv.Atoi(string(b))
		return &Error{Code: ErrorCode(n)}, err == nil && n < 0
	}
	if b[0] != '{' || len(b) > maxRefusal || !bytes.Contains(b, []byte(`"err"`)) {
		return nil, false
	}
	var e struct {
		Err  int             `json:"err"`
		User json.RawMessage `json:"u"`
		Link json.RawMessage `json:"l"`
	}
	if json.Unmarshal(b, &e) != nil || e.Err >= 0 {
		return nil, false
	}
	return &Error{Code: ErrorCode(e.Err), User: number(e.User), Link: number(e.Link)}, true
}

// number reads an integer that may be absent or something else: 0 then.
func number(raw json.RawMessage) int {
	n, err := strconv.Atoi(string(raw))
	if err != nil {
		return 0
	}
	return n
}

// splitAnswers takes an answer apart: one element for each command.
func splitAnswers(answer []byte, want int) ([]json.RawMessage, error) {
	var elements []json.RawMessage
	if err := json.Unmarshal(answer, &elements); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	if len(elements) != want {
		return nil, fmt.Errorf("%w: %d results for %d commands", ErrBadAnswer, len(elements), want)
	}
	return elements, nil
}

// decodeSingle decodes the result of a request's only command.
func decodeSingle(answer []byte, out any) error {
	elements, err := splitAnswers(answer, 1)
	if err != nil {
		return err
	}
	if refusal, ok := parseRefusal(elements[0]); ok {
		return refusal
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(elements[0], out); err != nil {
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	return nil
}

// checkJSON refuses what is no JSON array or object, or is nested too deeply.
func checkJSON(b []byte) error {
	if len(b) == 0 || (b[0] != '[' && b[0] != '{') {
		return fmt.Errorf("%w: no JSON", ErrBadAnswer)
	}
	if depth(b) > maxDepth {
		return fmt.Errorf("%w: nested too deeply", ErrBadAnswer)
	}
	if !json.Valid(b) {
		return fmt.Errorf("%w: broken JSON", ErrBadAnswer)
	}
	return nil
}

// depth gives the deepest nesting of brackets outside of strings.
func depth(b []byte) int {
	deepest, now := 0, 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '[', '{':
			now++
			deepest = max(deepest, now)
		case ']', '}':
			now--
		case '"':
			i = stringEnd(b, i)
		}
	}
	return deepest
}

// stringEnd gives the place of the quote that ends the string begun at i, or the end of b.
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return len(b)
}
