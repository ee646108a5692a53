package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Client talks to one process.
type Client struct {
	Path string
	http http.Client
}

// Dial returns a client for the socket at path; ok is false when nobody answers there.
func Dial(path string) (c *Client, ok bool) {
	if !Alive(path) {
		return nil, false
	}
	c = &Client{Path: path}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}
	return c, true
}

// Alive says whether a process answers at path.
func Alive(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Status asks what the process is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.call(ctx, "status", struct{}{}, &st)
	return st, err
}

// Mount hands one more mount point to the process.
func (c *Client) Mount(ctx context.Context, r MountRequest) error {
	return c.call(ctx, "mount", r, nil)
}

// Unmount asks the process to unmount a folder; ending says that it was the last one.
func (c *Client) Unmount(ctx context.Context, r UnmountRequest) (ending bool, err error) {
	err = c.call(ctx, "unmount", r, &ending)
	return ending, err
}

// Flush returns when what lies at path ("" for all) is in the cloud.
func (c *Client) Flush(ctx context.Context, path string) error {
	return c.call(ctx, "flush", path, nil)
}

// Revive makes the process go on with the session of a new login.
func (c *Client) Revive(ctx context.Context) error {
	return c.call(ctx, "revive", struct{}{}, nil)
}

// Retry makes the process ask the cloud at once for what it has refused.
func (c *Client) Retry(ctx context.Context) error { return c.call(ctx, "retry", struct{}{}, nil) }

// Pause makes it send nothing.
func (c *Client) Pause(ctx context.Context) error { return c.call(ctx, "pause", struct{}{}, nil) }

// Resume ends Pause.
func (c *Client) Resume(ctx context.Context) error { return c.call(ctx, "resume", struct{}{}, nil) }

// Approve lets the deletions go that are held back, and gives their number.
func (c *Client) Approve(ctx context.Context) (n int, err error) {
	err = c.call(ctx, "approve", struct{}{}, &n)
	return n, err
}

// Revert brings back what they took away, and gives the number.
func (c *Client) Revert(ctx context.Context) (n int, err error) {
	err = c.call(ctx, "revert", struct{}{}, &n)
	return n, err
}

// Logout ends session and process.
func (c *Client) Logout(ctx context.Context, discard bool) error {
	return c.call(ctx, "logout", discard, nil)
}

func (c *Client) call(ctx context.Context, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://megadisk/"+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking the process that holds the mount: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var refusal Error
		if err := json.NewDecoder(resp.Body).Decode(&refusal); err != nil || refusal.Message == "" {
			return fmt.Errorf("the process that holds the mount answered %s", resp.Status)
		}
		return &refusal
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
