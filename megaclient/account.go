package megaclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"megadisk/megaclient/megacrypto"
)

// Account asks whose account it is (PROTOCOL 2.7).
func (c *Client) Account(ctx context.Context) (Account, error) {
	var got struct {
		U     UserHandle `json:"u"`
		Email string     `json:"email"`
		Name  string     `json:"name"`
	}
	if err := c.command(ctx, laneRead, map[string]any{"a": "ug", "v": 1}, &got); err != nil {
		return Account{}, fmt.Errorf("asking for the account: %w", err)
	}
	return Account{User: got.U, Email: got.Email, Name: got.Name}, nil
}

// Quota asks how full the account is (PROTOCOL 3.9); a link has none, which is all zeros.
func (c *Client) Quota(ctx context.Context) (Quota, error) {
	if c.link != nil {
		return Quota{}, nil
	}
	var got struct {
		Total    json.Number `json:"mstrg"`
		Used     json.Number `json:"cstrg"`
		Level    int         `json:"usl"`
		Transfer json.Number `json:"mxfer"`
		Spent    json.Number `json:"caxfer"`
	}
	if err := c.command(ctx, laneRead, map[string]any{"a": "uq", "strg": 1, "xfer": 1, "pro": 1}, &got); err != nil {
		return Quota{}, fmt.Errorf("asking for the quota: %w", err)
	}
	return Quota{
		Total: bytesOf(got.Total), Used: bytesOf(got.Used), Level: got.Level,
		TransferTotal: bytesOf(got.Transfer), TransferUsed: bytesOf(got.Spent),
	}, nil
}

// VersionsAttr is the user attribute that switches older versions off (PROTOCOL 3.7).
const VersionsAttr = "^!dv"

// KeepsVersions asks whether the account keeps older versions of its files.
func (c *Client) KeepsVersions(ctx context.Context) (bool, error) {
	if c.link != nil {
		return true, nil
	}
	text, err := c.userAttributeText(ctx, c.session.User, VersionsAttr)
	if errors.Is(err, ENOENT) {
		return true, nil
	}
	if err != nil {
		return true, fmt.Errorf("asking whether versions are kept: %w", err)
	}
	value, err := megacrypto.DecodeBase64(text)
	return text != "1" && (err != nil || string(value) != "1"), nil
}

// bytesOf reads a number of bytes that may be absent or written as a fraction.
func bytesOf(n json.Number) int64 {
	if v, err := n.Int64(); err == nil {
		return max(0, v)
	}
	f, _ := n.Float64()
	if !(f > 0) {
		return 0
	}
	return int64(min(f, 1<<62))
}

// Busy asks whether the server is still working on a request of this session (PROTOCOL 1.1, wlt):
// once it is not, the fate of a batch without an answer is settled.
func (c *Client) Busy(ctx context.Context) (bool, error) {
	ctx, done := c.bind(ctx)
	defer done()
	q := url.Values{"sid": {c.sid()}, "wlt": {"1"}}
	address := c.api.String() + "/cs?" + q.Encode()
	busy := false
	t := c.persist(ctx, persistence{unreachable: c.timing.unreachable}, func(ctx context.Context, proof string) try {
		resp, t := c.send(ctx, address, nil, proof, c.timing.idle)
		if resp == nil {
			return t
		}
		defer drain(resp)
		body, err := readAll(resp.Body, 64<<10)
		if err != nil {
			return failed(err)
		}
		switch string(body) {
		case "0":
			busy = true
			return try{}
		case "1":
			return try{}
		}
		if t := judge(body); t.err != nil {
			return t
		}
		return try{err: fmt.Errorf("%w: neither busy nor not", ErrBadAnswer)}
	})
	if t.err != nil {
		return false, fmt.Errorf("asking whether the server is busy: %w", t.err)
	}
	return busy, nil
}
