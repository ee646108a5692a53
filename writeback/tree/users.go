package tree

import (
	"sync"
	"time"
)

// grace is how long one who comes lets another be alone first. Not longer: the other may be waiting for one who has come
// already, and comes once more from within what it does.
const grace = 100 * time.Millisecond

// users counts who uses the database.
type users struct {
	mu     sync.Mutex
	count  int           // GUARDED_BY(mu)
	none   chan struct{} // GUARDED_BY(mu): closed when nobody is left; nil: nobody waits for that
	wanted chan struct{} // GUARDED_BY(mu): closed when the one who wants to be alone was; nil: nobody does
	shut   bool          // GUARDED_BY(mu): nobody comes any more
	broken bool          // GUARDED_BY(mu): there is nothing to use any more
}

// enter keeps the database open until leave; ErrClosed if it is not.
func (u *users) enter() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if wanted := u.wanted; wanted != nil {
		u.mu.Unlock()
		select {
		case <-wanted:
		case <-time.After(grace):
		}
		u.mu.Lock()
	}
	if u.shut || u.broken {
		return ErrClosed
	}
	u.count++
	return nil
}

func (u *users) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.count--; u.count == 0 && u.none != nil {
		close(u.none)
		u.none = nil
	}
}

// close lets nobody in any more. It is false if that was so already.
func (u *users) close() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	was := u.shut
	u.shut = true
	return !was
}

// wait returns when nobody uses the database, at a moment at least.
func (u *users) wait() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waitLocked()
}

// waitLocked lets go of the lock while it waits; when it returns, nobody uses the database.
func (u *users) waitLocked() {
	for u.count > 0 {
		if u.none == nil {
			u.none = make(chan struct{})
		}
		none := u.none
		u.mu.Unlock()
		<-none
		u.mu.Lock()
	}
}

// alone calls fn at a moment when nobody uses the database; who comes meanwhile waits. One at a time may call it. When fn
// fails, nobody comes any more.
func (u *users) alone(fn func() error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.wanted = make(chan struct{})
	u.waitLocked()
	defer func() {
		close(u.wanted)
		u.wanted = nil
	}()
	if u.shut || u.broken {
		return ErrClosed
	}
	err := fn()
	u.broken = err != nil
	return err
}
