package megaclient

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// treeReader takes the answer of the full fetch apart, element by element. It looks for no more than where each value
// ends: an account's tree is hundreds of megabytes, and whoever gets an element decodes it, and so checks it, anyhow.
type treeReader struct {
	r   *bufio.Reader
	raw []byte // the last element; used again for the next
}

func newTreeReader(r io.Reader) *treeReader {
	b, ok := r.(streamBody)
	if ok {
		return &treeReader{r: b.Reader}
	}
	return &treeReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// peek gives the next byte that is no white space, and leaves it.
func (t *treeReader) peek() (byte, error) {
	for {
		c, err := t.r.ReadByte()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		if !isSpace(c) {
			return c, t.r.UnreadByte()
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (t *treeReader) expect(want byte) error {
	c, err := t.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("%w: %q expected", ErrBadAnswer, want)
	}
	_, err = t.r.ReadByte()
	return err
}

// more passes over the comma between members, and says whether there is another one before the bracket that closes.
func (t *treeReader) more(first bool, closing byte) (bool, error) {
	c, err := t.peek()
	if err != nil || c == closing {
		return false, err
	}
	if !first {
		err = t.expect(',')
	}
	return err == nil, err
}

// members calls fn with each key of an object; fn reads the value.
func (t *treeReader) members(fn func(key string) error) error {
	if err := t.expect('{'); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := t.more(first, '}')
		if err != nil {
			return err
		}
		if !more {
			return t.expect('}')
		}
		var key string
		if err := t.decode(&key); err != nil {
			return err
		}
		if err := t.expect(':'); err != nil {
			return err
		}
		if err := fn(key); err != nil {
			return err
		}
	}
}

// elements calls fn for each element of an array; of anything else it makes nothing.
func (t *treeReader) elements(fn func(json.RawMessage) error) error {
	c, err := t.peek()
	if err != nil {
		return err
	}
	if c != '[' {
		return t.skip()
	}
	if err := t.expect('['); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := t.more(first, ']')
		if err != nil {
			return err
		}
		if !more {
			return t.expect(']')
		}
		if err := t.element(); err != nil {
			return err
		}
		if err := fn(t.raw); err != nil {
			return err
		}
	}
}

// decode reads the next value into v.
func (t *treeReader) decode(v any) error {
	if err := t.element(); err != nil {
		return err
	}
	return json.Unmarshal(t.raw, v)
}

// element reads the next value into raw.
func (t *treeReader) element() error {
	t.raw = t.raw[:0]
	return t.value(func(part []byte) error {
		if len(t.raw)+len(part) > maxElement {
			return fmt.Errorf("%w: an element of more than %d bytes", ErrBadAnswer, maxElement)
		}
		t.raw = append(t.raw, part...)
		return nil
	})
}

// skip passes over a value of any size.
func (t *treeReader) skip() error { return t.value(func([]byte) error { return nil }) }

// value gives the next value to take, part by part.
func (t *treeReader) value(take func(part []byte) error) error {
	if _, err := t.peek(); err != nil {
		return err
	}
	var end valueEnd
	for {
		if _, err := t.r.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		buf, _ := t.r.Peek(t.r.Buffered())
		n, done, err := end.find(buf)
		if err == nil {
			err = take(buf[:n])
		}
		if err != nil {
			return err
		}
		if _, err := t.r.Discard(n); err != nil || done {
			return err
		}
	}
}

// valueEnd looks for the end of a JSON value that comes in parts.
type valueEnd struct {
	depth   int
	quoted  bool // within a string
	escaped bool // behind its backslash
	begun   bool
}

// find says how many bytes of b belong to the value, and whether it ends there.
func (v *valueEnd) find(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		if v.quoted {
			n += v.string(b[n:])
			if !v.quoted && v.depth == 0 {
				return n, true, nil
			}
			continue
		}
		switch c := b[n]; {
		case c == '"':
			v.quoted = true
		case c == '[', c == '{':
			if v.depth++; v.depth > maxDepth {
				return n, false, fmt.Errorf("%w: nested too deeply", ErrBadAnswer)
			}
		case v.depth == 0 && (isSpace(c) || c == ',' || c == ']' || c == '}' || c == ':'): // behind a number or a word
			if !v.begun {
				return n, false, fmt.Errorf("%w: a value expected", ErrBadAnswer)
			}
			return n, true, nil
		case c == ']', c == '}':
			if v.depth--; v.depth == 0 {
				return n + 1, true, nil
			}
		}
		v.begun = true
		n++
	}
	return n, false, nil
}

// string passes over what is left of a string, its quote included.
func (v *valueEnd) string(b []byte) (n int) {
	for n < len(b) {
		if v.escaped {
			v.escaped = false
			n++
			continue
		}
		quote := bytes.IndexByte(b[n:], '"')
		rest := b[n:]
		if quote >= 0 {
			rest = rest[:quote]
		}
		if slash := bytes.IndexByte(rest, '\\'); slash >= 0 {
			v.escaped = true
			n += slash + 1
			continue
		}
		if quote < 0 {
			return len(b)
		}
		v.quoted = false
		return n + quote + 1
	}
	return n
}
