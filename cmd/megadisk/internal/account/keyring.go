package account

import (
	"context"
	"errors"
	"time"

	"github.com/zalando/go-keyring"
)

const (
	patience = 10 * time.Second // with Fail, and between two questions with Wait
	interval = 2 * time.Second
)

// errNoAnswer means that the keyring was asked and is silent, as one that waits to be unlocked is.
var errNoAnswer = errors.New("it may be locked")

// ask gets an account's secret from the desktop's keyring.
func (st Store) ask(ctx context.Context, user string) (string, error) {
	for {
		limit := time.Duration(0)
		if st.Keyring != Auto {
			limit = patience
		}
		text, err := askOnce(ctx, st.Host+"/"+user, limit)
		if err == nil || errors.Is(err, keyring.ErrNotFound) || st.Keyring != Wait {
			return text, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(interval):
		}
	}
}

// askOnce asks and waits for the answer, at most for limit (0: for as long as it takes a person to unlock it).
func askOnce(ctx context.Context, key string, limit time.Duration) (string, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errNoAnswer)
		defer cancel()
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() { // can't be interrupted; it ends with the keyring's answer or the program
		text, err := keyring.Get(service, key)
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
