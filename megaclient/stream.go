package megaclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

type reader = io.Reader

// maxElement bounds one element of the full fetch's answer.
const maxElement = 4 << 20

// streamBody is a reply's body of which the beginning has been looked at.
type streamBody struct {
	*bufio.Reader
	io.Closer
}

// openStream looks whether a reply is the array of an answer, and then leaves it to be read; a
// refusal, of the request or of its only command, is read here.
func openStream(resp *reply) try {
	b := bufio.NewReaderSize(resp.Body, 256<<10)
	head, err := b.Peek(len(`[{"err"`))
	if err != nil && len(head) == 0 {
		_ = resp.Body.Close()
		return failed(err)
	}
	if len(head) > 2 && head[0] == '[' && head[1] == '{' && !bytes.HasPrefix(head, []byte(`[{"err"`)) {
		resp.Body = streamBody{b, resp.Body}
		return try{reply: resp}
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := readAll(b, 64<<10)
	if err != nil {
		return failed(err)
	}
	t := judge(answer)
	if t.err == nil {
		if t.err = decodeSingle(t.answer, nil); t.err == nil {
			t.err = fmt.Errorf("%w: no tree in it", ErrBadAnswer)
		}
		t.retry = isBusy(t.err)
	}
	return t
}

// read takes the answer apart (PROTOCOL 3.1): nodes go to the workers, the rest into the result.
func (f *fetch) read(ctx context.Context, body io.Reader) error {
	t := newTreeReader(body)
	if err := t.expect('['); err != nil {
		return err
	}
	if err := t.members(func(key string) error { return f.section(ctx, t, key) }); err != nil {
		return err
	}
	if err := t.expect(']'); err != nil {
		return err
	}
	if !validText(f.result.SN, snLength) {
		return fmt.Errorf("%w: a tree without a sequence number", ErrBadAnswer)
	}
	return f.flush(ctx)
}

const snLength = 11

// section reads one value of the answer's object.
func (f *fetch) section(ctx context.Context, t *treeReader, key string) error {
	switch key {
	case "f", "f2":
		return t.elements(func(raw json.RawMessage) error { return f.add(ctx, raw, key == "f2") })
	case "ok", "ok0":
		return t.elements(f.ownShareKey)
	case "s", "ps":
		return t.elements(func(raw json.RawMessage) error { f.share(raw, key == "ps"); return nil })
	case "u":
		return t.elements(f.user)
	case "ph":
		return t.elements(f.link)
	case "sn":
		return tolerant(t.decode(&f.result.SN))
	}
	return t.skip()
}

func (f *fetch) ownShareKey(raw json.RawMessage) error {
	var w struct {
		H  Handle `json:"h"`
		K  string `json:"k"`
		HA string `json:"ha"`
	}
	if tolerant(json.Unmarshal(raw, &w)) == nil {
		f.client.learnOwnShare(w.H, w.K, w.HA)
	}
	return nil
}

func (f *fetch) share(raw json.RawMessage, pending bool) {
	var w struct {
		H Handle     `json:"h"`
		U UserHandle `json:"u"`
		R int        `json:"r"`
	}
	if tolerant(json.Unmarshal(raw, &w)) != nil || !validHandle(w.H) {
		return
	}
	s := Share{Node: w.H, Access: w.R, Pending: pending, Link: w.U == exportUser}
	if validUser(w.U) {
		s.User = w.U
	}
	f.client.noteOwnShare(w.H)
	f.result.OutShares = append(f.result.OutShares, s)
}

// exportUser stands for everybody who has the link.
const exportUser = "EXP"

func (f *fetch) user(raw json.RawMessage) error {
	if u, ok := decodeUser(raw); ok {
		f.result.Users = append(f.result.Users, u)
	}
	return nil
}

func (f *fetch) link(raw json.RawMessage) error {
	var w struct {
		H  Handle `json:"h"`
		PH Handle `json:"ph"`
	}
	if tolerant(json.Unmarshal(raw, &w)) == nil && validHandle(w.H) && validHandle(w.PH) {
		f.result.Links[w.H] = w.PH
	}
	return nil
}
