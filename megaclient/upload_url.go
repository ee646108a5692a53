package megaclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// uploadCommand is the command u (PROTOCOL 5.1). "v":2 makes the token come as bytes.
type uploadCommand struct {
	A      string   `json:"a"`
	SSL    int      `json:"ssl"`
	V      int      `json:"v"`
	Size   int64    `json:"s"`
	Target []Handle `json:"t,omitempty"` // whose owner pays
}

func newUploadCommand(target Handle, size int64) uploadCommand {
	cmd := uploadCommand{A: "u", SSL: 2, V: 2, Size: size}
	if target != "" {
		cmd.Target = []Handle{target}
	}
	return cmd
}

// Times that -9 in answer to u is taken for one of the bursts that pass (PROTOCOL 5.1).
const maxUploadENOENT = 3

// askUploadURL gets a URL for so many bytes.
func (c *Client) askUploadURL(ctx context.Context, target Handle, size int64, w *waits) (string, error) {
	cmd := newUploadCommand(target, size)
	for missing := 0; ; {
		var answer struct {
			URL string `json:"p"`
		}
		err := c.command(ctx, laneURL, cmd, &answer)
		switch {
		case err == nil:
			return c.secureURL(answer.URL)
		case isStorageQuota(err):
			return "", fmt.Errorf("%w: %w", ErrStorageQuota, err)
		case errors.Is(err, ENOENT):
			if missing++; missing > maxUploadENOENT {
				return "", err
			}
		case !errors.Is(err, ETEMPUNAVAIL):
			return "", err
		}
		if err := w.again(ctx, err, 0); err != nil {
			return "", err
		}
	}
}

// isStorageQuota tells the refusals that mean a full account.
func isStorageQuota(err error) bool {
	var refusal *Error
	if !errors.As(err, &refusal) {
		return false
	}
	return refusal.Code == EOVERQUOTA || refusal.Code == EGOINGOVERQUOTA || refusal.Code == EPAYWALL
}

// open makes sure that the state has a URL.
func (u *uploading) open(ctx context.Context) error {
	if u.st.URL != "" && u.st.aged(u.c.transfers.timing.uploadLife) {
		u.forget()
	}
	if u.st.URL != "" {
		address, err := u.c.secureURL(u.st.URL)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUploadState, err)
		}
		u.st.URL = address
		return nil
	}
	address, err := u.c.askUploadURL(ctx, u.target, u.st.Size, u.waits)
	if err != nil {
		return err
	}
	u.st.URL, u.st.URLTime = address, time.Now().Unix()
	if len(u.st.cutPieces(1)) > 1 { // else there would be nothing to go on with
		return u.save()
	}
	return nil
}
